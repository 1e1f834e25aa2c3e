// Converts filled namespaces to items that refer to each other.

import { realpathSync } from "node:fs";
import type { Need, Node } from "../../lib/tree/dependencies.ts";
import type { Chosen } from "../plan/trees.ts";
import { isShared } from "../profiles/shared-set.ts";
import { type Item, type Link, type Role, type Root, type Side, WHENS } from "./item.ts";
import { ASKED, type Namespace } from "./namespace.ts";

function roleInBase(soname: string, { hosts, isIsolated }: Chosen): Role {
  if (isShared(soname)) return "shared";
  const host = hosts.find(({ choices }) => choices.has(soname));
  if (!host || isIsolated(soname)) return "runtime";
  return host.search.find(soname, undefined) ? "both" : "left";
}

/** `namespaces` starts with the program's. `ownerOf` gives the namespace in which a soname is isolated. */
export function itemsOf(
  namespaces: readonly Namespace[],
  ownerOf: (soname: string) => Namespace | undefined,
  chosen: Chosen,
): Side[] {
  const items = new Map<Node, Item & { needs: Link[]; requester: Item | undefined }>();
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
      const item: Item & { needs: Link[]; requester: Item | undefined } = {
        side,
        name,
        soname,
        path,
        why,
        library,
        origin,
        needs: [],
        requester: undefined,
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
