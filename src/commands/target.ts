// The library that a command examines: a file, or a soname to search for in a host tree.

import { LinkError } from "../../lib/link-error.ts";
import { mustFind } from "../../lib/tree/search.ts";
import type { Tree } from "../../lib/tree/tree.ts";
import { fileAt } from "../plan/file-at.ts";
import { hostSearch, openTree } from "../plan/trees.ts";
import { settingsOf } from "./tree-options.ts";

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
