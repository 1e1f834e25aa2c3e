// Libraries that are open in a capsule affect later lookups: ld.so matches a name against loaded objects before it
// searches for a file, so a plug-in gets a library that was opened by its path, wherever that is. We record the names
// under which files were opened. Whether they are still open is asked of glibc, on the requesting thread, and only if
// the tree would give another file or none.

import type { Library } from "../../lib/elf/library.ts";
import type { Linking } from "../../lib/process/process.ts";
import { type Closure, closureFrom } from "../../lib/tree/closure.ts";
import { type Dependencies, type Need, upToDate } from "../../lib/tree/dependencies.ts";
import type { Capsule, Linkage } from "./linkage.ts";
import { findObject } from "./opened.ts";

/** Where libraries are open, and under which names. */
type Place = Pick<Capsule, "search" | "namespace" | "names" | "opened">;

/** The file that is open under a name without a slash, if any. */
export function* fileOpenAs(linkage: Linkage, place: Place, name: string): Linking<string | undefined> {
  for (const path of place.names.of(name))
    if (place.opened.has(path) || (yield* findObject(linkage.process, place.namespace, path))) return path;
  return undefined;
}

/**
 * What `find` finds, adjusted to dependencies that are already open: `find` is called again with those, name → path.
 * `requester` is the library that asks for the roots. Throws as closureOf does.
 */
export function* closureIn(
  linkage: Linkage,
  place: Place,
  find: (open: ReadonlyMap<string, string>) => Dependencies,
  requester?: Library,
): Linking<Closure> {
  const open = new Map<string, string>();
  const asked = new Set<string>();
  for (;;) {
    const dependencies = upToDate(
      place.search,
      () => find(open),
      (path) => place.opened.has(path),
    );
    const before = open.size;
    for (const need of doubtful(place, dependencies)) {
      if (asked.has(need.name)) continue;
      asked.add(need.name);
      const path =
        (yield* fileOpenAs(linkage, place, need.name)) ??
        ("fault" in need ? (yield* findObject(linkage.process, place.namespace, need.name))?.path : undefined);
      if (path !== undefined) open.set(need.name, path);
    }
    if (open.size === before) return closureFrom(dependencies, requester);
    for (const [name, path] of open) linkage.trace.log("capsule", () => `${name}: ${path}, which is open by that name`);
  }
}

/** Needs that the search cannot resolve, or resolves to another file than was once opened under that name. */
function doubtful({ names }: Place, { nodes }: Dependencies): Need[] {
  const needs = nodes.flatMap((node) => node.needs).filter(({ name }) => !name.includes("/"));
  return needs.filter(
    (need) => "fault" in need || ("node" in need && names.hasOther(need.name, need.node.library.path)),
  );
}
