// The order of relocation and constructors: dependencies come before their dependents; in a cycle, ld.so's order
// applies. That is the reverse postorder of glibc 2.35 and newer (elf/dl-sort-maps.c, glibc.rtld.dynamic_sort=2): depth
// first from the last object to the first, visiting dependencies in DT_NEEDED order.

import { DF_1_INITFIRST } from "../elf/constants.ts";
import { dependenciesFirst } from "../tree/closure.ts";
import type { OpenObject } from "./objects.ts";

/** Dependencies first; the program is last, even if a library needs it. */
export function relocation<Member extends OpenObject>(objects: readonly Member[]): Member[] {
  const libraries = objects.slice(1).toReversed();
  const needsOf = ({ needs }: Member) => needs.flatMap((index) => (index === 0 ? [] : (objects[index] ?? [])));
  return [...dependenciesFirst(libraries, needsOf), ...objects.slice(0, 1)];
}

/**
 * The order of constructors; destructors run in reverse. The last object with DF_1_INITFIRST goes before all others.
 */
export function initialization<Member extends OpenObject>(objects: readonly Member[]): Member[] {
  const first = objects.findLast(({ image }) => (image.flags1 & DF_1_INITFIRST) !== 0);
  const order = relocation(objects);
  return first ? [first, ...order.filter((object) => object !== first)] : order;
}
