// How ld.so finds the libraries of a runtime that is not the machine's own: it knows
// nothing of another root, so it is given directories. First links to what the
// program needs, as that tree's own ld.so would find it (a program's own RUNPATH comes
// behind LD_LIBRARY_PATH, and is not to lose by that), then the tree's directories.

import { existsSync, realpathSync } from "node:fs";
import { join } from "node:path";
import { ElfError } from "../../lib/elf/error.ts";
import { LinkError } from "../../lib/link-error.ts";
import type { System } from "../../lib/process/system.ts";
import type { Trace } from "../diagnostics/trace.ts";
import { needsOf } from "../plan/needs.ts";
import type { ExecOptions } from "../plan/plan.ts";
import { locateProgram } from "../plan/program.ts";
import type { Trees } from "../plan/trees.ts";
import { keptDirectory } from "./kept-directories.ts";

/** Directories of this machine; none for the machine itself. Throws what writing throws. */
export function runtimePath(
  { machine, runtime, hosts, store }: Trees,
  { program }: Pick<ExecOptions, "program">,
  system: System,
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
    // What is found in the directories all the same keeps its own path.
    const isFound = (name: string, path: string) =>
      resolved(directories.map((directory) => join(directory, name)).find((file) => existsSync(file))) === path;
    for (const { name, library } of members)
      if (!name.includes("/") && !isFound(name, library.path)) links.set(name, library.path);
  } catch (error) {
    // A script, or what lacks something: that is said where it is missed.
    if (
      !(error instanceof ElfError || error instanceof LinkError) &&
      (error as NodeJS.ErrnoException).code === undefined
    )
      throw error;
    trace.log("plan", () => `the runtime's libraries are not known beforehand: ${(error as Error).message}`);
  }
  const first = links.size > 0 ? [keptDirectory("runtime", { links }, store.file, system)] : [];
  return [...first, ...directories];
}

const resolved = (path: string | undefined) => path && realpathSync(path);
