// In which order objects are relocated and their constructors run: who is needed comes
// before who needs it; of objects that need each other, the one goes first that ld.so
// lets go first. That is the reverse postorder of glibc 2.35 and newer
// (elf/dl-sort-maps.c, glibc.rtld.dynamic_sort=2): depth first from the last object to
// the first, each followed by what it needs in the order of DT_NEEDED.

import { DF_1_INITFIRST } from "../elf/constants.ts";
import type { OpenObject } from "./objects.ts";

/** Dependencies first; the program is the last. */
export function dependenciesFirst<Member extends OpenObject>(objects: readonly Member[]): Member[] {
  const visited = new Set<number>();
  const order: Member[] = [];
  const visit = (object: Member | undefined): void => {
    // The program goes last even where somebody needs it.
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
 * The order of constructors; that of destructors is its reverse. One object may go before all others, the last that
 * says so.
 */
export function initialization<Member extends OpenObject>(objects: readonly Member[]): Member[] {
  const first = objects.findLast(({ image }) => (image.flags1 & DF_1_INITFIRST) !== 0);
  const order = dependenciesFirst(objects);
  return first ? [first, ...order.filter((object) => object !== first)] : order;
}
