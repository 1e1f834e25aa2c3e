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
  let count = 0;
  if (moved.size === 0) return count;
  for (const image of images) {
    const slotAt = slotReader(image);
    count += redirectTable(image, image.symbolicRela.view, { slotAt, moved, patch, met });
    if (slots === "all") count += redirectTable(image, image.jmprel.view, { slotAt, moved, patch, met });
  }
  return count;
}

interface Redirecting {
  readonly slotAt: (vaddr: Vaddr) => number;
  readonly moved: Moved;
  readonly patch: Patch;
  readonly met: Set<number> | undefined;
}

// Hot: libLLVM has 380,000 relocations.
function redirectTable(image: LoadedImage, view: DataView, { slotAt, moved, patch, met }: Redirecting): number {
  const { r_offset, r_type, r_addend } = Rela.offsetOf;
  let count = 0;
  for (let at = 0; at + Rela.size <= view.byteLength; at += Rela.size) {
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

/** What is copied at once of another process's data, in bytes: slots lie side by side, and there may be 10 MB. */
const PIECE = 16384;

/** Reads slots; those of another process are copied a piece at a time. */
function slotReader(image: LoadedImage): (vaddr: Vaddr) => number {
  const segments = image.loads.filter(({ p_flags, p_filesz }) => p_flags & PF_W && p_filesz > 0);
  let start = 0;
  let piece: DataView = new DataView(new ArrayBuffer(0));
  return (vaddr) => {
    if (vaddr >= start && vaddr + 8 <= start + piece.byteLength) return readU64(piece, vaddr - start);
    const segment = segments.find(({ p_vaddr, p_filesz }) => vaddr >= p_vaddr && vaddr + 8 <= p_vaddr + p_filesz);
    if (!segment) return readU64(image.bytes.view(vaddr, 8, "relocated slot"), 0);
    start = vaddr;
    piece = image.bytes.view(vaddr, Math.min(PIECE, segment.p_vaddr + segment.p_filesz - vaddr), "data");
    return readU64(piece, 0);
  };
}
