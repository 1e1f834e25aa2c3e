// A namespace while it is being filled, with what was opened in it, and when.

import type { Library } from "../../lib/elf/library.ts";
import { LinkError } from "../../lib/link-error.ts";
import type { Loading, Need, Node } from "../../lib/tree/dependencies.ts";
import type { Search } from "../../lib/tree/search.ts";
import { openedAhead } from "../plan/plan.ts";
import type { OwnedHost } from "../plan/trees.ts";
import { LIBDIR } from "../profiles/profiles.ts";
import type { When } from "./item.ts";

/** The reason given for a file that no search has found. */
export const ASKED = "as asked";

export class Namespace {
  /** What was opened in it, by name. */
  readonly opened = new Map<string, { readonly need: Need; readonly when: When }>();
  /** What will probably be opened there, with the isolated libraries that open it. */
  readonly openers = new Map<string, Set<Library>>();
  readonly whens = new Map<Node, When>();

  constructor(
    readonly loading: Loading,
    /** Undefined for the program's namespace. */
    readonly host: OwnedHost | undefined,
  ) {}

  /** Returns the newly loaded nodes, whose needs are still to be followed. */
  open(names: readonly string[], when: When): Node[] {
    const fresh = names.filter((name) => !this.opened.has(name));
    for (const need of this.loading.open(fresh)) this.opened.set(need.name, { need, when });
    return this.#mark(when);
  }

  /** Like open, for the file that the report is about. */
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

/** What the isolated libraries of a capsule will probably open, if its tree has it. */
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

/** The list is a guess, so a name that cannot be resolved counts as absent. */
function isThere(search: Search, name: string): boolean {
  try {
    return search.find(name, undefined) !== undefined;
  } catch (error) {
    if (error instanceof LinkError) return false;
    throw error;
  }
}
