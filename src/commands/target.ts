// The file that a command examines: named by its path, a program in PATH, or a soname to search for in a host tree.

import { LinkError } from "../../lib/link-error.ts";
import { mustFind } from "../../lib/tree/search.ts";
import type { Tree } from "../../lib/tree/tree.ts";
import { unless } from "../../lib/unless.ts";
import { ProgramError } from "../diagnostics/errors.ts";
import { fileAt } from "../plan/file-at.ts";
import { findProgram } from "../plan/program.ts";
import { hostSearch, openTree } from "../plan/trees.ts";
import { settingsOf } from "./tree-options.ts";

/** As findTarget, for a command that examines programs, too. With `host`, names are the tree's. */
export function findFile(name: string, host: string | undefined): string {
  if (host !== undefined || name === "" || name.includes("/")) return findTarget(name, host).path;
  const program = unless([ProgramError], () => findProgram(name));
  if (program !== undefined) return program;
  try {
    return findTarget(name, host).path;
  } catch (error) {
    if (!(error instanceof LinkError)) throw error;
    const message = `${error.message}; nor has any directory in PATH a program of that name`;
    throw new LinkError(message, { ...error.details, cause: error });
  }
}

/**
 * `path` is on this machine, without symbolic links; `tree` is the one that was searched. A name with a slash is a file,
 * and no tree is searched. `host` is the value of --host. Throws LinkError, with the places searched.
 */
export function findTarget(name: string, host: string | undefined): { readonly path: string; readonly tree?: Tree } {
  if (name === "") throw new LinkError('Cannot find "": a file or a soname is needed', { object: name });
  if (name.includes("/")) return { path: fileAt(name) };
  const settings = settingsOf({ host });
  const tree = openTree(settings.host);
  return { path: mustFind(hostSearch(tree, settings.further.value), name, undefined).path, tree };
}
