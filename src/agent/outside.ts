// Programs that the program runs are not in the capsule. Where that makes a
// difference, somebody should hear of it: the one that has been started gets the
// runtime's own libraries.

import { accessSync, constants, statSync } from "node:fs";
import { delimiter, resolve } from "node:path";
import { ElfError } from "../../lib/elf/error.ts";
import { LinkError } from "../../lib/loader/error.ts";
import type { Search } from "../../lib/tree/search.ts";
import { needsOf } from "../needs.ts";

/** The isolated libraries that a program needs. None for one that is no ELF file, or that the kernel will refuse. */
export function isolatedNeedsOf(program: string, runtime: Search, isIsolated: (soname: string) => boolean): string[] {
  try {
    const path = runtime.tree.resolve(program);
    if (path === undefined) return [];
    return [...needsOf(runtime.libraryAt(path), runtime, isIsolated).isolated];
  } catch (error) {
    if (error instanceof LinkError || error instanceof ElfError) return [];
    if ((error as NodeJS.ErrnoException).code !== undefined) return [];
    throw error;
  }
}

/** The file that execvp would run, as the process with that working directory sees it. */
export function programFile(name: string, workingDirectory: string, searchPath: string): string | undefined {
  if (name.includes("/")) return resolve(workingDirectory, name);
  return searchPath
    .split(delimiter)
    .map((directory) => resolve(workingDirectory, directory || ".", name))
    .find(isProgram);
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === undefined) throw error;
    return false;
  }
}

/** The program that a command for the shell begins with, where it is as simple as that. */
export function programOfCommand(command: string): string | undefined {
  const [first] = command
    .trim()
    .split(/\s+/)
    .filter((word) => !/^\w+=/.test(word) && word !== "exec");
  return first !== undefined && /^[\w./+@:-]+$/.test(first) ? first : undefined;
}
