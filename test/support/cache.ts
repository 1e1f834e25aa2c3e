// Where the tests keep what is dear to make: compiled fixtures and unpacked trees. Outside the checkout, and safe to
// delete at any time. Everything is made in a temporary sibling and renamed, so that a test run which dies half-way,
// or a second one beside it, never leaves or sees half a directory.

import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { homedir } from "node:os";
import { basename, dirname, join } from "node:path";

export function cacheDirectory(): string {
  const { CAPSULE_TEST_CACHE, XDG_CACHE_HOME } = process.env;
  return CAPSULE_TEST_CACHE || join(XDG_CACHE_HOME || join(homedir(), ".cache"), "capsule-test");
}

/** The directory `path`, filled by `make` in a temporary sibling if it does not exist yet. */
export async function madeOnce(path: string, make: (directory: string) => Promise<void>): Promise<string> {
  if (existsSync(path)) return path;
  mkdirSync(dirname(path), { recursive: true });
  const temporary = mkdtempSync(join(dirname(path), `.${basename(path)}.`));
  try {
    await make(temporary);
    // Another run may have been faster: its directory has the same content, so either will do.
    if (!existsSync(path)) renameSync(temporary, path);
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
  return path;
}
