// What becomes of a process whose ld.so opens a file.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Scratch } from "../lib/elf/scratch.ts";

/** An ld.so that opens files; undefined: the machine's own. */
export interface Loader {
  readonly name: string;
  readonly command: readonly string[];
}

/** The machine's own, and that of a library tree. `directory` has what files need. */
export function loaderOf(scratch: Scratch, tree?: string): Loader {
  const opener = scratch.compile("opener", readFileSync(join(import.meta.dir, "opener.c"), "utf8"), "-w", "-ldl");
  if (tree === undefined)
    return { name: "the machine's", command: ["env", `LD_LIBRARY_PATH=${scratch.directory}`, opener] };
  const libraries = join(tree, "usr/lib/x86_64-linux-gnu");
  const loader = join(libraries, "ld-linux-x86-64.so.2");
  return { name: tree, command: [loader, "--library-path", `${libraries}:${scratch.directory}`, opener] };
}

/** What comes of each file, in order: "opened", what dlerror(3) says, or "killed: " and how. */
export function openEach({ command }: Loader, mode: "lazy" | "now", files: readonly string[]): string[] {
  const { stdout } = Bun.spawnSync([...command, mode], {
    stdin: Buffer.from(files.map((file) => `${file}\n`).join("")),
    env: { LC_ALL: "C" },
    stderr: "inherit",
  });
  const lines = stdout.toString().split("\n").slice(0, -1);
  if (lines.length !== files.length) throw new Error(`The opener says ${lines.length} lines of ${files.length} files`);
  return lines;
}
