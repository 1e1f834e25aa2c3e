// Reads small files of the machine, such as those in /proc and /sys, for checks. Reading never blocks (a FIFO may have
// no writer) or runs on (a device may have no end). Missing or inaccessible files are undefined.

import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  fstatSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
} from "node:fs";
import { unlessRefused } from "../../lib/unless.ts";

/** The most that is read of a file, in bytes. */
const LIMIT = 1024 * 1024;

export class MachineFiles {
  /** `root` is a directory that replaces /, for tests. */
  constructor(readonly root = "") {}

  text(path: string): string | undefined {
    return this.bytes(path)?.toString();
  }

  /** The beginning of a regular file. */
  bytes(path: string): Buffer | undefined {
    return unlessRefused(() => {
      const descriptor = openSync(this.root + path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
      try {
        if (!fstatSync(descriptor).isFile()) return undefined;
        // Files in /proc and /sys report no size.
        const bytes = Buffer.allocUnsafe(LIMIT);
        let size = 0;
        for (let count = 1; count > 0; size += count) count = readSync(descriptor, bytes, size, LIMIT - size, null);
        return bytes.subarray(0, size);
      } finally {
        closeSync(descriptor);
      }
    });
  }

  /** The number that is all of a file's text. */
  number(path: string): number | undefined {
    const text = this.text(path)?.trim();
    return text !== undefined && /^-?\d+$/.test(text) ? Number(text) : undefined;
  }

  /** The names in a directory, sorted. */
  names(path: string): string[] {
    return unlessRefused(() => readdirSync(this.root + path).sort()) ?? [];
  }

  /** The target of a symbolic link, unresolved. */
  link(path: string): string | undefined {
    return unlessRefused(() => readlinkSync(this.root + path));
  }

  isThere(path: string): boolean {
    return existsSync(this.root + path);
  }

  /** Whether this user may read and write it. */
  isUsable(path: string): boolean {
    return unlessRefused(() => accessSync(this.root + path, constants.R_OK | constants.W_OK) ?? true) ?? false;
  }
}
