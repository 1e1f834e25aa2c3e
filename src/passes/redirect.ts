// Overwrites slots in live memory: whatever holds the address of an object that has moved gets its new one. Slots are
// told by value, so that aliases need no special care. All slots are found before the first is written.

import { eachBoundSlot } from "../../lib/elf/bound-slots.ts";
import type { LoadedImage } from "../../lib/elf/loaded.ts";
import { type Address, add } from "../../lib/memory/numbers.ts";
import type { Patch } from "../../lib/process/patch.ts";

/** Old address → new address of what has moved. */
export type Moved = ReadonlyMap<number, Address>;

/** Which slots: those of objects, or also those that only calls go through. */
type Slots = "objects" | "all";

/**
 * Collects the writes into `patch`, and the old addresses that were met into `met`. Returns how many slots were looked
 * at.
 */
export function redirect(
  images: readonly LoadedImage[],
  moved: Moved,
  patch: Patch,
  { met, slots = "objects" }: { readonly met?: Set<number>; readonly slots?: Slots } = {},
): number {
  if (moved.size === 0) return 0;
  let count = 0;
  for (const image of images)
    count += eachBoundSlot(
      image,
      slots,
      (value, at, addend) => {
        patch.setPointer(image.addressOf(at), add(moved.get(value) ?? value, addend));
        met?.add(value);
      },
      moved,
    );
  return count;
}
