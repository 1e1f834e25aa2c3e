// Which objects a glibc scope contains, and in which order.

import { basename } from "node:path";
import type { LoadedObject } from "../../lib/loader/link-map.ts";
import type { Address } from "../../lib/memory/numbers.ts";

/** The objects with these link_maps, the entries of a scope, that are among `objects`; in the scope's order. */
export function objectsOf(entries: readonly Address[], objects: readonly LoadedObject[]): LoadedObject[] {
  const byAddress = new Map(objects.map((object) => [object.linkMap, object]));
  return entries.flatMap((entry) => byAddress.get(entry) ?? []);
}

/** The program's scope in ld.so's order: the program, then its dependencies, breadth first. */
export function scopeOf(program: LoadedObject, objects: readonly LoadedObject[]): LoadedObject[] {
  const named = byName(objects);
  const scope = [program];
  const known = new Set(scope);
  const found = (names: readonly string[]): LoadedObject[] =>
    names.flatMap((name) => {
      const object = named.get(name);
      if (!object || known.has(object)) return [];
      known.add(object);
      return [object];
    });
  const followed = new Set<LoadedObject>();
  for (let i = 0; i < scope.length; ) {
    const object = scope[i] as LoadedObject;
    if (followed.has(object)) {
      i++;
      continue;
    }
    followed.add(object);
    scope.push(...found(object.image.needed));
    // Its filtees come before it, followed by their dependencies.
    scope.splice(i, 0, ...found(object.image.filtees.map(({ name }) => name)));
  }
  return scope;
}

/** Objects by DT_NEEDED name. One with a different soname is found under its file name, by which it was loaded. */
function byName(objects: readonly LoadedObject[]): Map<string | undefined, LoadedObject> {
  const there = objects.filter(({ path, isVdso }) => path !== "" && !isVdso);
  const names = there.flatMap((object) => [object.image.soname, object.path].map((name) => [name, object] as const));
  const files = there.map((object) => [basename(object.path), object] as const);
  // The first of a name counts.
  return new Map([...names, ...files].toReversed());
}
