// A namespace while it is filled, and what was opened in it when.

import type { Library } from "../../lib/elf/library.ts";
import { LinkError } from "../../lib/link-error.ts";
import type { Loading, Need, Node } from "../../lib/tree/dependencies.ts";
import type { Search } from "../../lib/tree/search.ts";
import { openedAhead } from "../plan/plan.ts";
import type { OwnedHost } from "../plan/trees.ts";
import { LIBDIR } from "../profiles/profiles.ts";
import type { When } from "./item.ts";

/** Why a file is there that no search has given. */
export const ASKED = "as asked";

export class Namespace {
  /** What was opened in it, by name. */
  readonly opened = new Map<string, { readonly need: Need; readonly when: When }>();
  /** What will probably be opened there, and by which isolated libraries. */
  readonly openers = new Map<string, Set<Library>>();
  readonly whens = new Map<Node, When>();

  constructor(
    readonly loading: Loading,
    /** Undefined for the program's. */
    readonly host: OwnedHost | undefined,
  ) {}

  /** Returns what has come in, and has not been looked at. */
  open(names: readonly string[], when: When): Node[] {
    const fresh = names.filter((name) => !this.opened.has(name));
    for (const need of this.loading.open(fresh)) this.opened.set(need.name, { need, when });
    return this.#mark(when);
  }

  /** As open, for the file that a report is about. */
  add(library: Library, name: string, origin?: string): Node[] {
    const node = this.loading.add(library, name, ASKED, origin);
    this.opened.set(name, { need: { name, node }, when: "start" });
    return this.#mark("start");
  }

  #mark(when: When): Node[] {
    const fresh = this.loading.nodes.slice(this.whens.size);
    for (const node of fresh) this.whens.set(node, when);
    return fresh;
  }
}

/** What the isolated libraries of a capsule will probably open, of what its tree has. */
export function openedBy({ openers, host, loading: { nodes, search } }: Namespace): string[] {
  for (const { library } of nodes) {
    if (!host?.choices.has(library.soname)) continue;
    for (const name of openedAhead([library.soname])) {
      const paths = name.startsWith(LIBDIR) ? search.places.map((dir) => name.replace(LIBDIR, dir)) : [name];
      const path = paths.find((one) => isThere(search, one));
      if (path !== undefined) openers.set(path, (openers.get(path) ?? new Set()).add(library));
    }
  }
  return [...openers.keys()];
}

/** What cannot be followed to its end is not there: it is a guess. */
function isThere(search: Search, name: string): boolean {
  try {
    return search.find(name, undefined) !== undefined;
  } catch (error) {
    if (error instanceof LinkError) return false;
    throw error;
  }
}
