// Program headers (gABI, "Program Header") and what a loader needs from them.

import { layout, type Struct, u32, u64 } from "../memory/layout.ts";
import { add, alignDown, alignUp, type Offset, PAGE_SIZE, toVaddr, type Vaddr } from "../memory/numbers.ts";
import { PF_R, PF_W, PT_LOAD } from "./constants.ts";
import type { Ehdr } from "./ehdr.ts";
import { ElfError } from "./error.ts";

export const Phdr = layout("Elf64_Phdr", {
  p_type: u32,
  p_flags: u32,
  p_offset: u64<Offset>(),
  p_vaddr: u64<Vaddr>(),
  p_paddr: u64(),
  p_filesz: u64(),
  p_memsz: u64(),
  p_align: u64(),
});
export type Phdr = Struct<typeof Phdr>;

/** As many as the kernel accepts of a program. Every vaddr is looked up in all of them. */
const MOST_PHDRS = Math.floor(65536 / Phdr.size);

/** Checks the ELF header's description of the program header table; returns its size in bytes. Throws ElfError. */
export function sizeOfPhdrs(path: string, ehdr: Ehdr): number {
  if (ehdr.e_phentsize !== Phdr.size)
    throw new ElfError(path, "ELF header", `e_phentsize is ${ehdr.e_phentsize}, not ${Phdr.size}`);
  if (ehdr.e_phnum === 0 || ehdr.e_phnum > MOST_PHDRS)
    throw new ElfError(path, "ELF header", `e_phnum ${ehdr.e_phnum} gives no usable number of program headers`);
  return ehdr.e_phnum * Phdr.size;
}

/** The headers, in table order. */
export function readPhdrs(table: DataView): Phdr[] {
  const phdrs: Phdr[] = [];
  for (let at = 0; at + Phdr.size <= table.byteLength; at += Phdr.size) phdrs.push(Phdr.at(table, at));
  return phdrs;
}

/**
 * The PT_LOAD headers, in table order. Throws ElfError if a loader would map one of them outside the range it reserves:
 * from the first one's first page to the last one's last. Within it they may overlap and be in any order.
 */
export function loadSegments(path: string, phdrs: readonly Phdr[]): Phdr[] {
  const loads = phdrs.filter((phdr) => phdr.p_type === PT_LOAD);
  const [first, last] = [loads[0], loads.at(-1)];
  const start = first ? alignDown(first.p_vaddr, PAGE_SIZE) : 0;
  const end = last ? alignUp(last.p_vaddr + last.p_memsz, PAGE_SIZE) : 0;
  for (const { p_vaddr, p_memsz, p_filesz } of loads) {
    const fault = !(p_vaddr + p_memsz <= Number.MAX_SAFE_INTEGER)
      ? "p_vaddr and p_memsz reach beyond the address space"
      : !(p_vaddr + p_filesz <= alignUp(p_vaddr + p_memsz, PAGE_SIZE) || p_vaddr + p_filesz <= end)
        ? "p_filesz is larger than p_memsz"
        : p_vaddr < start || p_vaddr + p_memsz > end
          ? "the last segment does not end behind the others, or the first is not before them"
          : undefined;
    if (fault !== undefined) throw new ElfError(path, "PT_LOAD", fault);
  }
  return loads;
}

/** Whole pages; `end` is exclusive. */
export interface PageRange {
  readonly start: Vaddr;
  readonly end: Vaddr;
}

/** The pages mapped for a segment. They include the file's bytes around it in its first and last page. */
export function pagesOf({ p_vaddr, p_filesz, p_memsz }: Phdr): PageRange {
  const start = alignDown(p_vaddr, PAGE_SIZE);
  return { start, end: alignUp(add(p_vaddr, Math.max(p_filesz, p_memsz)), PAGE_SIZE) };
}

/** The part of a segment's pages that no later segment has, on one side or both sides of a vaddr. */
export interface Piece extends PageRange {
  readonly load: Phdr;
}

/** A loader maps segments in their order, in whole pages: a page is the last one's that has it. */
export function pieceAt(loads: readonly Phdr[], vaddr: number): Piece | undefined {
  let [start, end] = [0, Number.POSITIVE_INFINITY];
  for (let i = loads.length - 1; i >= 0; i--) {
    const load = loads[i] as Phdr;
    const pages = pagesOf(load);
    if (vaddr < pages.start) end = Math.min(end, pages.start);
    else if (vaddr >= pages.end) start = Math.max(start, pages.end);
    else return { load, start: toVaddr(Math.max(start, pages.start)), end: toVaddr(Math.min(end, pages.end)) };
  }
  return undefined;
}

/** The segment in whose pages `length` bytes at a vaddr are. */
export function segmentAt(loads: readonly Phdr[], vaddr: number, length = 1): Phdr | undefined {
  const piece = pieceAt(loads, vaddr);
  return piece && vaddr + length <= piece.end ? piece.load : undefined;
}

/** What may be written may be read, on x86-64; what may only be executed may not, on processors with protection keys. */
export const isReadable = ({ p_flags }: Phdr): boolean => (p_flags & (PF_R | PF_W)) !== 0;
