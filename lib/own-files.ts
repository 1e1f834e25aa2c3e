// Files and directories of our own that others, or a later run, rely on: written whole, of a mode that no umask
// changes, and believed only if they are what was written. Nothing else in src and lib writes a file or makes a
// directory.

import {
  chmodSync,
  closeSync,
  fchmodSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  renameSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { isOurs } from "./ownership.ts";
import { RegularFile } from "./regular-file.ts";
import { unlessRefused } from "./unless.ts";

interface Written {
  /** By default 0600. */
  readonly mode?: number | undefined;
  /** On the disk, too, before it has its name: for what is not checked when it is read. */
  readonly isSynced?: boolean;
}

/**
 * Readers see the whole old file or the whole new one. Returns the path. Throws what writing throws, and leaves no
 * temporary file then.
 */
export function writeWhole(
  path: string,
  content: string | Uint8Array,
  { mode = 0o600, isSynced }: Written = {},
): string {
  const fresh = join(dirname(path), `.${process.pid}-${Math.random().toString(36).slice(2)}.new`);
  const descriptor = openSync(fresh, "wx", mode);
  try {
    try {
      fchmodSync(descriptor, mode);
      writeFileSync(descriptor, content);
      if (isSynced) fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    renameSync(fresh, path);
    return path;
  } catch (error) {
    unlessRefused(() => unlinkSync(fresh));
    throw error;
  }
}

/** More bytes than any file that is kept. */
const MOST_KEPT = 64 * 2 ** 20;

/** What writeWhole() has left if it was killed. */
export const isUnfinished = (name: string): boolean => /^\.\d+-[a-z\d]*\.new$/.test(name);

/** The content of a file that only this user can have written; undefined for anything else, such as a FIFO. */
export function readOwn(path: string): Buffer | undefined {
  return unlessRefused(() => {
    using file = new RegularFile(path);
    return isOurs(file.stat) && file.stat.size <= MOST_KEPT ? file.bytes(0, file.stat.size) : undefined;
  });
}

/** Makes a directory, of mode 0700, if it is missing. Throws what making it throws. */
export function makeDirectory(path: string): void {
  try {
    mkdirSync(path, 0o700);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return;
    throw error;
  }
  chmodSync(path, 0o700);
}

/** As makeDirectory(), with those above it. */
export function makeDirectories(path: string): void {
  if (isThere(path)) return;
  makeDirectories(dirname(path));
  makeDirectory(path);
}

/** Makes a directory whose name begins with `prefix`, as mkdtemp(3). Returns its path. Throws what making it throws. */
export function makeFreshDirectory(prefix: string): string {
  const path = mkdtempSync(prefix);
  chmodSync(path, 0o700);
  return path;
}

/** True also for a dangling link. */
export const isThere = (path: string): boolean => lstatSync(path, { throwIfNoEntry: false }) !== undefined;
