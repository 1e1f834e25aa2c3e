// What a command that looks at one library is given: a file, or a soname to search for
// in a host tree.

import { LinkError } from "../../lib/link-error.ts";
import { mustFind } from "../../lib/tree/search.ts";
import type { Tree } from "../../lib/tree/tree.ts";
import { fileAt } from "../plan/file-at.ts";
import { hostSearch, openHost } from "../plan/trees.ts";
import { settingsOf } from "./tree-options.ts";

interface Target {
  /** Of this machine, without symbolic links. */
  readonly path: string;
  /** Where it was searched for; undefined for a file. */
  readonly tree: Tree | undefined;
}

/** A name with a slash is a file. `host` is --host's. Throws LinkError, with where it was looked for. */
export function findTarget(name: string, host: string | undefined): Target {
  if (name === "") throw new LinkError('Cannot find "": a file or a soname is needed', { object: name });
  if (name.includes("/")) return { path: fileAt(name), tree: undefined };
  const settings = settingsOf({ host });
  const tree = openHost(settings.host);
  return { path: mustFind(hostSearch(tree, settings.further.value), name, undefined).path, tree };
}
