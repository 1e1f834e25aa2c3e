// What some libraries need, with all that is needed for it, each looked for as ld.so
// looks for it when it is given them: breadth first, a name once, so that the search
// path of who comes to it first decides for all.

import { ElfError } from "../elf/error.ts";
import type { Library } from "../elf/library.ts";
import { LinkError } from "../loader/error.ts";
import { mustFind, type Requester, type Search } from "./search.ts";

/** A library that was found. */
export interface Node {
  readonly library: Library;
  /** The name by which it was asked for first. */
  readonly name: string;
  /** Which step of the search gave it. */
  readonly why: string;
  readonly requester: Requester | undefined;
  /** In the order of DT_NEEDED. */
  readonly needs: readonly Need[];
}

/** What becomes of a name that somebody needs. */
export type Need = { readonly name: string } & (
  | { readonly node: Node }
  /** The soname of what comes from elsewhere: the name, or what the file says that was found by it. */
  | { readonly elsewhere: string }
  /** It is missing, with where it was looked for, or unsound. */
  | { readonly fault: LinkError | ElfError }
);

export interface Dependencies {
  readonly roots: readonly Need[];
  /** In the order in which ld.so comes to them. */
  readonly nodes: readonly Node[];
}

/**
 * `roots` are sonames or paths that `requester` asks for. What `isElsewhere` says of a soname is not looked for, nor what a file needs
 * that turns out to have such a soname.
 */
export function dependenciesOf(
  search: Search,
  roots: readonly string[],
  isElsewhere: (soname: string) => boolean,
  requester?: Requester,
): Dependencies {
  const nodes: (Node & { readonly needs: Need[] })[] = [];
  const byName = new Map<string, Node>();
  const byPath = new Map<string, Node>();

  const look = (name: string, from: Requester | undefined): Need => {
    const known = byName.get(name);
    if (known) return { name, node: known };
    const found = find(search, name, from);
    if (found instanceof Error) return { name, fault: found };
    const { library, why } = found;
    if (from && !name.includes("/") && name !== library.soname && isElsewhere(library.soname))
      return { name, elsewhere: library.soname };
    let node = byPath.get(library.path);
    if (!node) {
      const fresh = { library, name, why, requester: from, needs: [] };
      nodes.push(fresh);
      byPath.set(library.path, fresh);
      node = fresh;
    }
    byName.set(name, node);
    // The first that says so, for all who come later.
    if (!byName.has(library.soname)) byName.set(library.soname, node);
    return { name, node };
  };

  const needed = roots.map((root) => look(root, requester));
  // It grows meanwhile.
  for (const { library, requester: loader, needs } of nodes)
    for (const name of library.needed)
      needs.push(isElsewhere(name) ? { name, elsewhere: name } : look(name, { library, loader }));
  return { roots: needed, nodes };
}

function find(
  search: Search,
  name: string,
  from: Requester | undefined,
): { library: Library; why: string } | LinkError | ElfError {
  try {
    const { library, why } = mustFind(search, name, from);
    return { library, why };
  } catch (error) {
    if (error instanceof LinkError || error instanceof ElfError) return error;
    throw error;
  }
}
