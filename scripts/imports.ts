// Which file of the sources imports which.

import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { Glob } from "bun";

/** Importing file → imported files, as paths in the repository. */
export type Imports = ReadonlyMap<string, readonly string[]>;

/** Of types, too, which Bun.Transpiler leaves out. */
export const importedIn = (text: string): string[] =>
  [...text.matchAll(/(?<=\bfrom |\bimport |\bimport\()"(\.[^"]+)"/g)].map(([, path = ""]) => path);

/** Of all TypeScript in these folders of `root`; what is imported may lie elsewhere. */
export function importsOf(root: string, folders: readonly string[]): Imports {
  const files = folders.flatMap((folder) => [...new Glob(`${folder}/**/*.ts`).scanSync(root)]);
  return new Map(
    files
      .filter((file) => !file.endsWith(".d.ts"))
      .map((file) => [
        file,
        importedIn(readFileSync(join(root, file), "utf8")).map((path) => join(dirname(file), path)),
      ]),
  );
}

/** `file`, and all that it imports, directly or not. */
export function reachOf(file: string, imports: Imports): ReadonlySet<string> {
  const reached = new Set([file]);
  for (const importer of reached) for (const other of imports.get(importer) ?? []) reached.add(other);
  return reached;
}
