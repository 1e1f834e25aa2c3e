// Overwrites slots in live memory, in reverse dependency order: whatever holds the
// address of an object that has moved gets its new one. Slots are told by value
// (less the addend: `&array[3]` moves with `array`), so that aliases need no
// special care. All slots are found before the first is written.

import { PF_W, R_X86_64_64, R_X86_64_GLOB_DAT, R_X86_64_JUMP_SLOT } from "../../lib/elf/constants.ts";
import type { LoadedImage } from "../../lib/elf/loaded.ts";
import { Rela } from "../../lib/elf/rela.ts";
import { readU64 } from "../../lib/memory/layout.ts";
import { type Address, add, toVaddr, type Vaddr } from "../../lib/memory/numbers.ts";
import type { Patch } from "../../lib/process/patch.ts";

/** Old address → new address of what has moved. */
export type Moved = ReadonlyMap<number, Address>;

/** Which slots: those of objects, or also those that only calls go through. */
export type Slots = "objects" | "all";

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
  let count = 0;
  if (moved.size === 0) return count;
  for (const image of images) {
    const slotAt = slotReader(image);
    const from = image.relativeCount * Rela.size;
    count += redirectTable(image, image.rela.view, from, { slotAt, moved, patch, met });
    if (slots === "all") count += redirectTable(image, image.jmprel.view, 0, { slotAt, moved, patch, met });
  }
  return count;
}

interface Redirecting {
  readonly slotAt: (vaddr: Vaddr) => number;
  readonly moved: Moved;
  readonly patch: Patch;
  readonly met: Set<number> | undefined;
}

// Hot: libLLVM has 380,000 relocations, of which the relative ones, which come first, are passed over.
function redirectTable(
  image: LoadedImage,
  view: DataView,
  from: number,
  { slotAt, moved, patch, met }: Redirecting,
): number {
  const { r_offset, r_type, r_addend } = Rela.offsetOf;
  let count = 0;
  for (let at = from; at + Rela.size <= view.byteLength; at += Rela.size) {
    const type = view.getUint32(at + r_type, true);
    if (type !== R_X86_64_GLOB_DAT && type !== R_X86_64_64 && type !== R_X86_64_JUMP_SLOT) continue;
    count++;
    const vaddr = toVaddr(readU64(view, at + r_offset));
    const addend = type === R_X86_64_64 ? Number(view.getBigInt64(at + r_addend, true)) : 0;
    const value = slotAt(vaddr);
    const target = moved.get(value - addend);
    if (target === undefined) continue;
    patch.setPointer(image.addressOf(vaddr), add(target, addend));
    met?.add(value - addend);
  }
  return count;
}

/** Reads slots; those of another process are copied a segment at a time. */
function slotReader(image: LoadedImage): (vaddr: Vaddr) => number {
  const segments = image.loads
    .filter(({ p_flags, p_filesz }) => p_flags & PF_W && p_filesz > 0)
    .map(({ p_vaddr, p_filesz }) => ({ start: p_vaddr, view: image.bytes.view(p_vaddr, p_filesz, "data") }));
  return (vaddr) => {
    for (const { start, view } of segments)
      if (vaddr >= start && vaddr + 8 <= start + view.byteLength) return readU64(view, vaddr - start);
    return readU64(image.bytes.view(vaddr, 8, "relocated slot"), 0);
  };
}
