// Both sides of a program as data: what is loaded into the base namespace and into each capsule, from where and why,
// computed from files alone. `capsule tree`, `why` and `graph` show it.
//
// Namespaces are filled in the order of a run: what the program needs, the isolated libraries that this requires, what
// these will probably open when used, and finally isolated libraries that nothing needs but the program might open.
// Libraries of the program's side that a capsule is shown are loaded on the program's side.

import { realpathSync } from "node:fs";
import { LinkError } from "../../lib/link-error.ts";
import { type Given, Loading, type Node } from "../../lib/tree/dependencies.ts";
import { LIBC } from "../../lib/tree/glibc-names.ts";
import { unless } from "../../lib/unless.ts";
import { newestUnwinder } from "../plan/glibc/unwinder.ts";
import { openedAhead } from "../plan/plan.ts";
import { type Chosen, type OwnedHost, searchesOf, type Trees } from "../plan/trees.ts";
import { LIBDIR } from "../profiles/profiles.ts";
import { isShared, LOADER, UNWINDER } from "../profiles/shared-set.ts";
import type { TreeOptions } from "../settings/tree-options.ts";
import type { Asked } from "./asked.ts";
import type { Report, When } from "./item.ts";
import { ASKED, itemsOf, Namespace } from "./items.ts";

/** Throws LinkError and ElfError if something essential to a namespace cannot be loaded. */
export function sidesOf(asked: Asked, options: TreeOptions, trees: Trees, chosen: Chosen): Report {
  const { runtime } = trees;
  const given = sharedFiles(trees);
  const base = new Namespace(new Loading(runtime, chosen.isIsolated, given), undefined);
  const capsules = chosen.hosts.map(
    (host) => new Namespace(new Loading(host.search, (soname) => host.ownership.isShared(soname)), host),
  );
  const ownerOf = (soname: string) =>
    capsules.find(({ host }) => host?.choices.has(soname) && chosen.isIsolated(soname));

  /** Opens what nodes need from other namespaces there, and follows the needs of that. */
  const follow = (first: readonly Node[], when: When): void => {
    for (let nodes = first; nodes.length > 0; ) {
      const wanted = new Map<Namespace, Set<string>>();
      for (const { needs } of nodes)
        for (const need of needs)
          if ("elsewhere" in need) {
            const place = ownerOf(need.elsewhere) ?? base;
            wanted.set(place, (wanted.get(place) ?? new Set()).add(need.elsewhere));
          }
      nodes = [...wanted].flatMap(([place, names]) => place.open(inOrder(place.host, names), when));
    }
  };

  const native = new Loading(runtime, () => false, given);
  if (asked.kind === "soname") {
    const { soname } = asked;
    native.open([soname]);
    follow((ownerOf(soname) ?? base).open([soname], "start"), "start");
  } else if (asked.kind !== "static") {
    const { library, origin } = asked;
    const home = capsules.find(({ host }) => host?.search.tree.root && host.search.tree.holds(library.path));
    if (home) native.open([library.soname]);
    else native.add(library, library.path, ASKED, origin);
    follow((home ?? base).add(library, library.path, origin), "start");
  }
  for (const when of ["use", "later"] as const)
    for (const place of capsules) {
      if (!place.host || asked.kind === "static") continue;
      if (when === "later") follow(place.open([...place.host.choices.keys()].filter(chosen.isIsolated), when), when);
      follow(place.open(openedBy(place), when), when);
    }
  const [program, ...sides] = itemsOf([base, ...capsules], ownerOf, chosen);
  if (!program) throw new Error("Cannot report: there is no base namespace");
  return {
    asked,
    program,
    capsules: sides,
    native: new Map(native.nodes.map(({ library }) => [library.soname, realpathSync(library.path)])),
    options,
    trees,
    chosen,
  };
}

/** The order in which a plan opens them. */
const inOrder = (host: OwnedHost | undefined, names: ReadonlySet<string>): string[] =>
  host ? [...host.choices.keys()].filter((soname) => names.has(soname)) : [...names];

/** Gives the files of the shared set that a search of the runtime would not find. */
function sharedFiles(trees: Trees): (soname: string) => Given | undefined {
  const { runtime, glibc: chosen, store } = trees;
  const isFoundAnyway = runtime.find(LIBC, undefined)?.path === chosen.path;
  const unwinder = newestUnwinder(searchesOf(trees), chosen);
  return (soname) => {
    if (!isShared(soname)) return undefined;
    if (soname === UNWINDER && unwinder) return { library: unwinder.library, why: "the newest of all trees'" };
    if (isFoundAnyway) return undefined;
    const path = soname === LOADER ? chosen.glibc?.loader : chosen.glibc?.find(soname);
    return path === undefined ? undefined : { library: store.read(path), why: `glibc ${chosen.version}` };
  };
}

/** What the isolated libraries of a capsule will probably open, if its tree has it. */
function openedBy({ openers, host, loading: { nodes, search } }: Namespace): string[] {
  for (const { library } of nodes) {
    if (!host?.choices.has(library.soname)) continue;
    for (const name of openedAhead([library.soname])) {
      const paths = name.startsWith(LIBDIR) ? search.places.map((dir) => name.replace(LIBDIR, dir)) : [name];
      // The list is a guess, so a name that cannot be resolved counts as absent.
      const path = paths.find((one) => unless([LinkError], () => search.find(one, undefined)));
      if (path !== undefined) openers.set(path, (openers.get(path) ?? new Set()).add(library));
    }
  }
  return [...openers.keys()];
}
