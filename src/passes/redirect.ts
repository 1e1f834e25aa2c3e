// Overwrites slots in live memory, in reverse dependency order: whatever holds the
// address of an object that has moved gets its new one. Slots are told by value
// (less the addend: `&array[3]` moves with `array`), so that aliases need no
// special care. All slots are found before the first is written.

import { R_X86_64_64, R_X86_64_GLOB_DAT } from "../../lib/elf/constants.ts";
import type { LoadedImage } from "../../lib/elf/loaded.ts";
import { Rela } from "../../lib/elf/rela.ts";
import { readU64 } from "../../lib/memory/layout.ts";
import { type Address, add, toVaddr } from "../../lib/memory/numbers.ts";
import type { Patch } from "../../lib/process/patch.ts";

/** Old address → new address of objects that have moved. */
export type Moved = ReadonlyMap<number, Address>;

/** Collects the writes into `patch`, and the old addresses that were met into `met`. Returns how many slots were looked at. */
export function redirect(images: readonly LoadedImage[], moved: Moved, patch: Patch, met?: Set<number>): number {
  let slots = 0;
  for (const image of images) slots += redirectImage(image, moved, patch, met);
  return slots;
}

// Hot: libLLVM has 380,000 relocations, of which the relative ones, which come first, are passed over.
function redirectImage(image: LoadedImage, moved: Moved, patch: Patch, met?: Set<number>): number {
  const { view } = image.rela;
  const { r_offset, r_type, r_addend } = Rela.offsetOf;
  let slots = 0;
  for (let at = image.relativeCount * Rela.size; at + Rela.size <= view.byteLength; at += Rela.size) {
    const type = view.getUint32(at + r_type, true);
    if (type !== R_X86_64_GLOB_DAT && type !== R_X86_64_64) continue;
    slots++;
    const vaddr = toVaddr(readU64(view, at + r_offset));
    const addend = type === R_X86_64_64 ? Number(view.getBigInt64(at + r_addend, true)) : 0;
    const value = readU64(image.bytes.view(vaddr, 8, "relocated slot"), 0);
    const target = moved.get(value - addend);
    if (target === undefined) continue;
    patch.setPointer(image.addressOf(vaddr), add(target, addend));
    met?.add(value - addend);
  }
  return slots;
}
