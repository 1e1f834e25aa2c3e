// Redirects slots of the global offset tables: a slot that holds the address of a moved object gets the new address.
// Slots are identified by value, so aliases need no special care. All slots are found first; applying the patch
// (lib/process/patch.ts) writes them, in this process or in another one (lib/process/other.ts).

import { eachBoundSlot } from "../../lib/elf/bound-slots.ts";
import type { LoadedImage } from "../../lib/elf/loaded.ts";
import { type Address, add, type Vaddr } from "../../lib/memory/numbers.ts";
import type { Patch } from "../../lib/process/patch.ts";

/** Old address → new address of moved objects. */
export type Moved = ReadonlyMap<number, Address>;

/**
 * Collects the writes into `patch`, and the old addresses that it found into `met`. `slots` are those that hold
 * addresses of objects, or also those used only for calls. Returns how many slots it examined.
 */
export function redirect(
  images: readonly LoadedImage[],
  moved: Moved,
  patch: Patch,
  { met, slots = "objects" }: { readonly met?: Set<number>; readonly slots?: "objects" | "all" } = {},
): number {
  if (moved.size === 0) return 0;
  let count = 0;
  for (const image of images) {
    const write = (value: number, at: Vaddr, addend: number): void => {
      patch.setPointer(image.addressOf(at), add(moved.get(value) ?? value, addend));
      met?.add(value);
    };
    count += eachBoundSlot(image, slots, write, moved);
  }
  return count;
}
