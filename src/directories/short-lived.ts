// Files that somebody wants to be given by name, and that are gone at once.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { WriteFile } from "../../lib/link/start.ts";
import { hint } from "./private-directory.ts";

/**
 * The files are there while `action` is done, or until it has them removed. Writing one throws what that throws, as
 * `hint` words it.
 */
export function withFiles<Result>(action: (write: WriteFile, remove: () => void) => Result): Result {
  let directory: string | undefined;
  const remove = () => {
    if (directory !== undefined) rmSync(directory, { recursive: true, force: true });
  };
  const write: WriteFile = (name, bytes) => {
    const parent = tmpdir();
    try {
      directory ??= mkdtempSync(join(parent, "capsule-link-"));
      const path = join(directory, name);
      writeFileSync(path, bytes, { mode: 0o600 });
      return path;
    } catch (error) {
      throw hint(error, parent);
    }
  };
  try {
    return action(write, remove);
  } finally {
    remove();
  }
}
