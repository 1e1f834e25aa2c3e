// Files that must be passed by name and are removed at once.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { WriteFile } from "../../lib/link/start.ts";
import { hinting } from "./private-directory.ts";

/**
 * The files exist while `action` runs, or until it removes them. Writing one throws what that throws, as `hint` words
 * it.
 */
export function withFiles<Result>(action: (write: WriteFile, remove: () => void) => Result): Result {
  let directory: string | undefined;
  const remove = () => {
    if (directory !== undefined) rmSync(directory, { recursive: true, force: true });
  };
  const write: WriteFile = (name, bytes) => {
    const parent = tmpdir();
    return hinting(parent, () => {
      directory ??= mkdtempSync(join(parent, "capsule-link-"));
      const path = join(directory, name);
      writeFileSync(path, bytes, { mode: 0o600 });
      return path;
    });
  };
  try {
    return action(write, remove);
  } finally {
    remove();
  }
}
