// The environment of an attached program: the one that this command got, without what a package runner and Bun have
// added, with the shims first on the library path, the directories of a separate runtime last, and the launch's auditor
// after others. Bytes, since variables need not be UTF-8.

import { readdirSync } from "node:fs";
import { canBeOnPath } from "../directories/library-path.ts";
import { AUDITORS, hasAuditor, withAuditor } from "../plan/glibc/auditing.ts";
import { changed, nameOf } from "../reexec/reexec.ts";

/** What is added to an environment. */
interface Added {
  /** The launch's library directory. */
  readonly libraries: string;
  /** Directories after all others. */
  readonly behind?: readonly string[];
  readonly isAudited: boolean;
}

/** NAME=VALUE, in the given order. `changes` has undefined for a variable to remove. */
export function programEnvironment(
  given: readonly Uint8Array[],
  changes: ReadonlyMap<string, string | undefined>,
  { libraries, behind = [], isAudited }: Added,
): Uint8Array[] {
  const list = changed(given, changes);
  const added = new Map([[LIBRARY_PATH, extendedPath(list, libraries, behind)]]);
  if (isAudited) {
    const auditors = withAuditor(valueIn(list, AUDITORS).toString("latin1"), libraries);
    added.set(AUDITORS, Buffer.from(auditors, "latin1"));
  }
  return changed(list, added);
}

export const LIBRARY_PATH = "LD_LIBRARY_PATH";

/** The value of LD_LIBRARY_PATH in a list of NAME=VALUE, with one more directory in front and others at the end. */
export function extendedPath(list: readonly Uint8Array[], libraries: string, behind: readonly string[] = []): Buffer {
  const before = valueIn(list, LIBRARY_PATH);
  // ld.so takes an empty value as unset, but an empty element as the current directory.
  const rest = Buffer.from(behind.map((directory) => `:${directory}`).join(""));
  return Buffer.concat([Buffer.from(`${libraries}${before.length > 0 ? ":" : ""}`), before, rest]);
}

/**
 * Directories for the end of the library path, the host trees' roots among them. A sandbox such as WebKitGTK's may show
 * only the directories in LD_LIBRARY_PATH and hide the rest of /tmp, /run or the user's cache, where a process linked
 * inside opens files. The machine's root is left out, and so are directories with libraries at their top, which ld.so
 * would take, and names that a library path cannot contain.
 */
export const shownInSandboxes = (directories: Iterable<string>): string[] =>
  [...new Set(directories)].filter((path) => path !== "" && canBeOnPath(path) && !hasLibraries(path));

function hasLibraries(directory: string): boolean {
  try {
    return readdirSync(directory).some((name) => name.includes(".so") || name === "glibc-hwcaps");
  } catch (error) {
    // A directory that may be entered but not read.
    if ((error as NodeJS.ErrnoException).code !== "EACCES") throw error;
    return true;
  }
}

/** The directories of each LD_LIBRARY_PATH in an environment as /proc shows it. */
export const libraryPathsIn = (environment: string): string[][] =>
  valuesIn(environment, LIBRARY_PATH).map((value) => value.split(/[:;]/).filter(Boolean));

/** Does an environment belong to a launch with these libraries, by either variable? */
export const isOfLaunch = (environment: string, libraries: string): boolean =>
  libraryPathsIn(environment).some((directories) => directories.includes(libraries)) ||
  valuesIn(environment, AUDITORS).some((value) => hasAuditor(value, libraries));

const valuesIn = (environment: string, name: string): string[] =>
  environment
    .split("\0")
    .filter((variable) => variable.startsWith(`${name}=`))
    .map((variable) => variable.slice(name.length + 1));

/** Empty if there is none. ld.so uses the last one. */
function valueIn(list: readonly Uint8Array[], name: string): Buffer {
  const last = list.findLast((variable) => nameOf(variable) === name) ?? new Uint8Array(0);
  return Buffer.from(last.subarray(name.length + 1));
}
