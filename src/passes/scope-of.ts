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
  const add = (name: string, put: (object: LoadedObject) => void): void => {
    const found = named.get(name);
    if (!found || known.has(found)) return;
    known.add(found);
    put(found);
  };
  const followed = new Set<LoadedObject>();
  for (let i = 0; i < scope.length; ) {
    const object = scope[i] as LoadedObject;
    if (followed.has(object)) {
      i++;
      continue;
    }
    followed.add(object);
    for (const needed of object.image.needed) add(needed, (found) => scope.push(found));
    // Its filtees come before it, followed by their dependencies.
    let at = i;
    for (const { name } of object.image.filtees) add(name, (found) => scope.splice(at++, 0, found));
  }
  return scope;
}

/**
 * Objects by DT_NEEDED name. If a library has a different soname, it is listed under its file name, by which it was
 * found.
 */
function byName(objects: readonly LoadedObject[]): Map<string, LoadedObject> {
  const named = new Map<string, LoadedObject>();
  const there = objects.filter(({ path, isVdso }) => path !== "" && !isVdso);
  const add = (name: string | undefined, object: LoadedObject) => {
    if (name !== undefined && !named.has(name)) named.set(name, object);
  };
  for (const object of there) for (const name of [object.image.soname, object.path]) add(name, object);
  for (const object of there) add(basename(object.path), object);
  return named;
}
