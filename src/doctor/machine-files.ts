// Small files of the machine, such as the kernel shows in /proc and /sys, as checks
// read them: nothing is waited for (a FIFO has no writer, a device no end), and what is
// missing or not permitted is undefined.

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
import { unlessRefused } from "../../lib/system-error.ts";

/** No file that is looked at is longer, in bytes. */
const LIMIT = 1024 * 1024;

export class MachineFiles {
  /** `root` is a directory that stands for /, for tests. */
  constructor(readonly root = "") {}

  text(path: string): string | undefined {
    return this.bytes(path)?.toString();
  }

  /** Of a regular file, its beginning. */
  bytes(path: string): Buffer | undefined {
    return unlessRefused(() => {
      const descriptor = openSync(this.root + path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
      try {
        if (!fstatSync(descriptor).isFile()) return undefined;
        const chunks: Buffer[] = [];
        for (let size = 0; size < LIMIT; ) {
          // The files of /proc and /sys have no size beforehand.
          const chunk = Buffer.alloc(64 * 1024);
          const count = readSync(descriptor, chunk);
          if (count === 0) break;
          chunks.push(chunk.subarray(0, count));
          size += count;
        }
        return Buffer.concat(chunks);
      } finally {
        closeSync(descriptor);
      }
    });
  }

  /** Of a file that has one, in its first line. */
  number(path: string): number | undefined {
    const text = this.text(path)?.trim();
    return text !== undefined && /^-?\d+$/.test(text) ? Number(text) : undefined;
  }

  /** What is in a directory, sorted. */
  names(path: string): string[] {
    return unlessRefused(() => readdirSync(this.root + path).sort()) ?? [];
  }

  /** Where a symbolic link leads, as it says it. */
  link(path: string): string | undefined {
    return unlessRefused(() => readlinkSync(this.root + path));
  }

  isThere(path: string): boolean {
    return existsSync(this.root + path);
  }

  /** May this user read it and write to it? */
  isUsable(path: string): boolean {
    return unlessRefused(() => accessSync(this.root + path, constants.R_OK | constants.W_OK) ?? true) ?? false;
  }
}
