// A directory of symbolic links, as a library path has them: whole, or not there.

import { mkdtempSync, renameSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";

/** Makes it at that path, by name and what each leads to; one that is there is the same. Throws what writing throws. */
export function makeLinks(path: string, links: ReadonlyMap<string, string>): void {
  const fresh = mkdtempSync(`${path}.`);
  try {
    for (const [name, target] of links) symlinkSync(target, join(fresh, name));
    renameSync(fresh, path);
  } catch (error) {
    rmSync(fresh, { recursive: true, force: true });
    // Somebody else was faster.
    if (!["EEXIST", "ENOTEMPTY"].includes((error as NodeJS.ErrnoException).code ?? "")) throw error;
  }
}
