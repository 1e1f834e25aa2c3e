// The channel of attached processes: a file in the serving directory that they all map. Its disk space is allocated
// beforehand, so that a full disk is an error at the start and not a SIGBUS in the middle of the program.

import { closeSync, openSync } from "node:fs";
import { join } from "node:path";
import type { Address } from "../../lib/memory/numbers.ts";
import type { System } from "../../lib/process/system.ts";
import { OUTSIDE_CHANNEL_SIZE } from "../agent/protocol.ts";
import { CHANNEL_FILE } from "../directories/library-path.ts";

/** Makes the file and maps it. Throws SystemError and what open(2) throws. */
export function makeChannelFile(system: System, directory: string): Address {
  return mapped(system, directory, "wx+", (descriptor) => system.allocateFile(descriptor, OUTSIDE_CHANNEL_SIZE));
}

/** Throws as makeChannelFile. */
export function mapChannelFile(system: System, directory: string): Address {
  return mapped(system, directory, "r+", () => {});
}

function mapped(system: System, directory: string, flags: string, prepare: (descriptor: number) => void): Address {
  const descriptor = openSync(join(directory, CHANNEL_FILE), flags, 0o600);
  try {
    prepare(descriptor);
    return system.mapShared(descriptor, OUTSIDE_CHANNEL_SIZE);
  } finally {
    closeSync(descriptor);
  }
}
