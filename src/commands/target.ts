// What a command that looks at one library is given: a file, or a soname to search for
// in a host tree.

import { realpathSync } from "node:fs";
import { LinkError } from "../../lib/loader/error.ts";
import { LibraryStore } from "../../lib/tree/library-store.ts";
import { mustFind, reasonOf, Search } from "../../lib/tree/search.ts";
import { openHost } from "../trees.ts";

export interface Target {
  /** As it was given. */
  readonly name: string;
  /** Of this machine, without symbolic links. */
  readonly path: string;
  /** Where it was searched for; undefined for a file. */
  readonly search: Search | undefined;
  /** Which step of the search gave it. */
  readonly why: string;
}

/** A name with a slash is a file. `host` is --host's. Throws LinkError, with where it was looked for. */
export function findTarget(name: string, host: string | undefined, storeFile?: string): Target {
  if (name === "") throw new LinkError('Cannot find "": a file or a soname is needed', { object: name });
  if (name.includes("/")) return { name, path: fileAt(name), search: undefined, why: "its path" };
  const search = new Search(openHost(host), [], new LibraryStore(storeFile));
  const { path, why } = mustFind(search, name, undefined);
  return { name, path, search, why };
}

function fileAt(name: string): string {
  try {
    return realpathSync(name);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === undefined) throw cause;
    throw new LinkError(`Cannot find "${name}": ${reasonOf(code)}`, { object: name, cause });
  }
}
