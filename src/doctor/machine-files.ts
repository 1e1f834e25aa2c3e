// Reads small files of the machine, such as those in /proc and /sys, for checks. Missing or inaccessible files are
// undefined, and all that is not a file.

import { accessSync, constants, existsSync, readdirSync, readlinkSync } from "node:fs";
import { readBeginning } from "../../lib/regular-file.ts";
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
    return unlessRefused(() => readBeginning(this.root + path, LIMIT));
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
