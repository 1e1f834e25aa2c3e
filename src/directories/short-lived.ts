// Files that must be passed by name and are removed at once.

import { rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { WriteFile } from "../../lib/link/start.ts";
import { makeFreshDirectory, writeWhole } from "../../lib/own-files.ts";
import { hinting, PREFIX } from "./private-directory.ts";
import { privateParent } from "./temporary-place.ts";

/** What the directories' names have after PREFIX. */
export const LINK = "link-";

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
    return hinting(directory ?? tmpdir(), () => {
      directory ??= makeFreshDirectory(join(privateParent(), `${PREFIX}${LINK}`));
      return writeWhole(join(directory, name), bytes);
    });
  };
  try {
    return action(write, remove);
  } finally {
    remove();
  }
}
