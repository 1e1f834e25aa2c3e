// A directory of symbolic links for a library path, made atomically.

import { mkdtempSync, renameSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";

/** Makes it at that path from names and targets; an existing one has the same content. Throws what writing throws. */
export function makeLinks(path: string, links: ReadonlyMap<string, string>): void {
  const fresh = mkdtempSync(`${path}.`);
  try {
    for (const [name, target] of links) symlinkSync(target, join(fresh, name));
    renameSync(fresh, path);
  } catch (error) {
    rmSync(fresh, { recursive: true, force: true });
    // Another process was faster.
    if (!["EEXIST", "ENOTEMPTY"].includes((error as NodeJS.ErrnoException).code ?? "")) throw error;
  }
}
