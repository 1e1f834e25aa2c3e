// Namespaces, and their conversion to items that refer to each other.

import { realpathSync } from "node:fs";
import type { Library } from "../../lib/elf/library.ts";
import type { Loading, Need, Node } from "../../lib/tree/dependencies.ts";
import type { Chosen, OwnedHost } from "../plan/trees.ts";
import { isShared } from "../profiles/shared-set.ts";
import { type Item, type Link, type Role, type Root, type Side, WHENS, type When } from "./item.ts";

/** The reason given for a file that no search has found. */
export const ASKED = "as asked";

/** A namespace while it is being filled, with what was opened in it, and when. */
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

function roleInBase(soname: string, { hosts, isIsolated }: Chosen): Role {
  if (isShared(soname)) return "shared";
  const host = hosts.find(({ choices }) => choices.has(soname));
  if (!host || isIsolated(soname)) return "runtime";
  return host.search.find(soname, undefined) ? "both" : "left";
}

type Growing = Item & { needs: Link[]; requester: Item | undefined };

/** `namespaces` starts with the program's. `ownerOf` gives the namespace in which a soname is isolated. */
export function itemsOf(
  namespaces: readonly Namespace[],
  ownerOf: (soname: string) => Namespace | undefined,
  chosen: Chosen,
): Side[] {
  const items = new Map<Node, Growing>();
  const linkOf = (need: Need, place: Namespace): Link => {
    if ("fault" in need) return need;
    const item = "node" in need ? items.get(need.node) : undefined;
    if (item) return { name: need.name, item, door: undefined };
    const owner = "elsewhere" in need ? (ownerOf(need.elsewhere) ?? namespaces[0]) : undefined;
    const there = "elsewhere" in need && owner?.opened.get(need.elsewhere);
    if (!owner || !there) throw new Error(`Cannot report "${need.name}": it is in no namespace`);
    const link = linkOf(there.need, owner);
    return link.fault ? link : { ...link, name: need.name, door: place.host ? "mirror" : "shim" };
  };
  const sides = namespaces.map(({ loading, host, whens }) => {
    const side = { host, tree: loading.search.tree.name, roots: [] as Root[], items: [] as Item[] };
    for (const node of loading.nodes) {
      const { library, name, why, origin } = node;
      const { soname } = library;
      // Symbolic links may remain in the path if the search leaves the tree.
      const path = realpathSync(library.path);
      const role = host ? (host.choices.has(soname) ? "isolated" : "private") : roleInBase(soname, chosen);
      const item: Growing = {
        ...{ side, name, soname, path, why, library, origin, needs: [], requester: undefined },
        role: why === ASKED && !host ? "asked" : role,
        when: whens.get(node) ?? "later",
      };
      items.set(node, item);
      side.items.push(item);
    }
    return side;
  });
  for (const [index, place] of namespaces.entries()) {
    const byLibrary = new Map(place.loading.nodes.map((node) => [node.library, items.get(node)]));
    for (const node of place.loading.nodes) {
      const item = items.get(node);
      item?.needs.push(...node.needs.map((need) => linkOf(need, place)));
      if (item && node.requester) item.requester = byLibrary.get(node.requester.library);
    }
    for (const { need, when } of place.opened.values()) {
      const link = linkOf(need, place);
      // A library shown to a capsule may be loaded there anyway.
      if (place.host || !link.item?.requester) {
        const openers = [...(place.openers.get(need.name) ?? [])]
          .flatMap((library) => byLibrary.get(library) ?? [])
          .filter((opener) => WHENS.indexOf(opener.when) <= WHENS.indexOf(when));
        sides[index]?.roots.push({ link, when, openers });
      }
    }
  }
  return sides;
}
