// Program headers (gABI, "Program Header") and what a loader wants of them.

import { layout, type Struct, u32, u64 } from "../memory/layout.ts";
import type { Offset, Vaddr } from "../memory/numbers.ts";
import { PN_XNUM, PT_LOAD } from "./constants.ts";
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

/** Checks what the header says of the program header table; returns its size in bytes. Throws ElfError. */
export function sizeOfPhdrs(path: string, ehdr: Ehdr): number {
  if (ehdr.e_phentsize !== Phdr.size)
    throw new ElfError(path, "ELF header", `e_phentsize is ${ehdr.e_phentsize}, not ${Phdr.size}`);
  if (ehdr.e_phnum === 0 || ehdr.e_phnum === PN_XNUM)
    throw new ElfError(path, "ELF header", `e_phnum ${ehdr.e_phnum} gives no usable number of program headers`);
  return ehdr.e_phnum * Phdr.size;
}

/** The table's headers, in its order. */
export function readPhdrs(table: DataView): Phdr[] {
  const phdrs: Phdr[] = [];
  for (let at = 0; at + Phdr.size <= table.byteLength; at += Phdr.size) phdrs.push(Phdr.at(table, at));
  return phdrs;
}

/** The PT_LOAD headers. Throws ElfError where the gABI's order or sizes are broken: nothing later need doubt them. */
export function loadSegments(path: string, phdrs: readonly Phdr[]): Phdr[] {
  const loads = phdrs.filter((phdr) => phdr.p_type === PT_LOAD);
  let end = 0;
  for (const { p_vaddr, p_memsz, p_filesz } of loads) {
    const fault =
      p_filesz > p_memsz
        ? "p_filesz is larger than p_memsz"
        : p_vaddr < end
          ? "the segments overlap or are out of order"
          : !(p_vaddr + p_memsz <= Number.MAX_SAFE_INTEGER)
            ? "p_vaddr and p_memsz reach beyond the address space"
            : undefined;
    if (fault !== undefined) throw new ElfError(path, "PT_LOAD", fault);
    end = p_vaddr + p_memsz;
  }
  return loads;
}
