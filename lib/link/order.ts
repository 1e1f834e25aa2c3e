// The order of relocation and constructors: dependencies come before their dependents; in a cycle, ld.so's order
// applies. That is the reverse postorder of glibc 2.35 and newer (elf/dl-sort-maps.c, glibc.rtld.dynamic_sort=2): depth
// first from the last object to the first, visiting dependencies in DT_NEEDED order.

import { DF_1_INITFIRST } from "../elf/constants.ts";
import type { OpenObject } from "./objects.ts";

/** Dependencies first; the program is last. */
export function dependenciesFirst<Member extends OpenObject>(objects: readonly Member[]): Member[] {
  const visited = new Set<number>();
  const order: Member[] = [];
  const visit = (object: Member | undefined): void => {
    // The program goes last even if a library needs it.
    if (!object || object.index === 0 || visited.has(object.index)) return;
    visited.add(object.index);
    for (const index of object.needs) visit(objects[index]);
    order.push(object);
  };
  for (const object of objects.toReversed()) visit(object);
  const [program] = objects;
  return program ? [...order, program] : [];
}

/**
 * The order of constructors; destructors run in reverse. The last object with DF_1_INITFIRST goes before all others.
 */
export function initialization<Member extends OpenObject>(objects: readonly Member[]): Member[] {
  const first = objects.findLast(({ image }) => (image.flags1 & DF_1_INITFIRST) !== 0);
  const order = dependenciesFirst(objects);
  return first ? [first, ...order.filter((object) => object !== first)] : order;
}
