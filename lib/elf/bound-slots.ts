// The slots of a loaded image that hold symbol addresses: what ld.so writes for R_X86_64_GLOB_DAT, 64 and JUMP_SLOT.

import { readU64 } from "../memory/layout.ts";
import { toVaddr, type Vaddr } from "../memory/numbers.ts";
import { R_X86_64_64, R_X86_64_GLOB_DAT, R_X86_64_JUMP_SLOT } from "./constants.ts";
import type { LoadedImage } from "./loaded.ts";
import { Rela } from "./rela.ts";

/** The tables to visit: DT_RELA, whose slots hold addresses of objects and functions; DT_JMPREL, for calls. */
type Tables = "objects" | "calls" | "all";

/**
 * Called for a slot: its value less the addend (`&array[3]` is an address of `array`); its vaddr; the index of its
 * symbol, 0 for none; whether only calls use it. A call's slot that is not bound yet may hold an address in the image
 * itself.
 */
type Visit = (value: number, at: Vaddr, addend: number, symbol: number, isCall: boolean) => void;

/** Returns the number of slots. With `values`, visits only those that hold one of them. */
export function eachBoundSlot(
  image: LoadedImage,
  tables: Tables,
  visit: Visit,
  values?: { has(value: number): boolean },
): number {
  const slotAt = slotReader(image);
  const inObjects = tables === "calls" ? 0 : eachIn(image.symbolicRela.view, slotAt, visit, values);
  return inObjects + (tables === "objects" ? 0 : eachIn(image.jmprel.view, slotAt, visit, values));
}

// Hot: libLLVM has 380,000 relocations.
function eachIn(
  view: DataView,
  slotAt: (vaddr: Vaddr) => number,
  visit: Visit,
  values: { has(value: number): boolean } | undefined,
): number {
  const { r_offset, r_type, r_sym, r_addend } = Rela.offsetOf;
  let count = 0;
  for (let at = 0; at + Rela.size <= view.byteLength; at += Rela.size) {
    const type = view.getUint32(at + r_type, true);
    if (type !== R_X86_64_GLOB_DAT && type !== R_X86_64_64 && type !== R_X86_64_JUMP_SLOT) continue;
    count++;
    const vaddr = toVaddr(readU64(view, at + r_offset));
    const addend = type === R_X86_64_64 ? Number(view.getBigInt64(at + r_addend, true)) : 0;
    const value = slotAt(vaddr) - addend;
    if (values?.has(value) === false) continue;
    visit(value, vaddr, addend, view.getUint32(at + r_sym, true), type === R_X86_64_JUMP_SLOT);
  }
  return count;
}

/** How much of another process's data is copied at once, in bytes: slots are adjacent, and there may be 10 MB. */
const PIECE = 16384;

/** Reads slots; those of another process are copied a piece at a time. */
function slotReader(image: LoadedImage): (vaddr: Vaddr) => number {
  let start = 0;
  let piece: DataView = new DataView(new ArrayBuffer(0));
  return (vaddr) => {
    if (vaddr >= start && vaddr + 8 <= start + piece.byteLength) return readU64(piece, vaddr - start);
    const segment = image.loads.find(({ p_vaddr, p_filesz }) => vaddr >= p_vaddr && vaddr + 8 <= p_vaddr + p_filesz);
    if (!segment) return readU64(image.bytes.view(vaddr, 8, "relocated slot"), 0);
    start = vaddr;
    piece = image.bytes.view(vaddr, Math.min(PIECE, segment.p_vaddr + segment.p_filesz - vaddr), "data");
    return readU64(piece, 0);
  };
}
