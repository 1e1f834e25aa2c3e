// Where the launch's libraries are mounted read-only, as in a sandbox, the channel cannot be opened for writing. An
// agent then connects to a socket beside it, which a read-only mount permits, and receives the channel's descriptor.

import { closeSync, openSync } from "node:fs";
import { join } from "node:path";
import { type System, SystemError } from "../../lib/process/system.ts";
import type { Watcher } from "../../lib/process/watcher.ts";
import { unless } from "../../lib/unless.ts";
import { LONGEST_ADDRESS } from "../agent/code/connect.ts";
import { CHANNEL_FILE, LIBRARIES } from "../directories/library-path.ts";

/** Among the libraries, since sandboxes show the directories of LD_LIBRARY_PATH. */
export const DOOR = join(LIBRARIES, "door");

/** The door of a serving directory; undefined if its path does not fit into a socket address. */
export function doorOf(directory: string): string | undefined {
  const path = join(directory, DOOR);
  return Buffer.byteLength(path) <= LONGEST_ADDRESS ? path : undefined;
}

export class Door {
  private constructor(
    readonly system: System,
    readonly socket: number,
    readonly channel: number,
  ) {}

  /** `watcher` reports connections. Undefined if there can be no door. Throws what opening the channel throws. */
  static open(system: System, watcher: Watcher, directory: string): Door | undefined {
    const path = doorOf(directory);
    if (path === undefined) return undefined;
    // Without it, an agent that needs it is not answered, and says so.
    return unless([SystemError], () => {
      const socket = system.listenAt(path);
      watcher.add(socket, "each time");
      return new Door(system, socket, openSync(join(directory, CHANNEL_FILE), "r+"));
    });
  }

  /** Serves the waiting connections: the directory is this user's alone. */
  admit(): void {
    for (;;) {
      const connection = this.system.accept(this.socket);
      if (connection === undefined) return;
      this.system.passDescriptor(connection, this.channel);
      closeSync(connection);
    }
  }
}
