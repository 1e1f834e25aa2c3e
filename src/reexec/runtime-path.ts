// How ld.so finds the libraries of a runtime that is not the machine's: it cannot use another root, so it gets
// directories. First links to what the program needs, as that tree's own ld.so would find it (LD_LIBRARY_PATH precedes
// the program's RUNPATH, which must not lose by that), then the tree's directories.

import { existsSync, realpathSync } from "node:fs";
import { join } from "node:path";
import { ElfError } from "../../lib/elf/error.ts";
import { LinkError } from "../../lib/link-error.ts";
import type { Trace } from "../diagnostics/trace.ts";
import { needsOf } from "../plan/needs.ts";
import type { ExecOptions } from "../plan/plan.ts";
import { locateProgram } from "../plan/program.ts";
import type { Trees } from "../plan/trees.ts";
import type { KeptDirectories } from "./kept-directories.ts";

/** Directories of this machine; none if the runtime is the machine's. Throws what writing throws. */
export function runtimePath(
  { machine, runtime, hosts }: Trees,
  { program }: Pick<ExecOptions, "program">,
  kept: KeptDirectories,
  trace: Trace,
): string[] {
  if (runtime === machine) return [];
  const { directories } = runtime;
  const links = new Map<string, string>();
  const isIsolated = (soname: string) =>
    hosts.some(({ choices, search }) => choices.has(soname) && search.find(soname, undefined) !== undefined);
  try {
    const library = runtime.libraryAt(realpathSync(locateProgram(program)));
    const { members } = needsOf(library, runtime, isIsolated).closure;
    // A library that is found in the directories anyway keeps its own path.
    const isFound = (name: string, path: string) =>
      resolved(directories.map((directory) => join(directory, name)).find((file) => existsSync(file))) === path;
    for (const { name, library } of members)
      if (!name.includes("/") && !isFound(name, library.path)) links.set(name, library.path);
  } catch (error) {
    // A script, or a program with missing libraries, which are reported later.
    if (
      !(error instanceof ElfError || error instanceof LinkError) &&
      (error as NodeJS.ErrnoException).code === undefined
    )
      throw error;
    trace.log("plan", () => `the runtime's libraries are not known beforehand: ${(error as Error).message}`);
  }
  const first = links.size > 0 ? [kept.with("runtime", { links })] : [];
  return [...first, ...directories];
}

const resolved = (path: string | undefined) => path && realpathSync(path);
