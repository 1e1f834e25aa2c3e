// What a 32-bit ELF file says about how it is started: its interpreter and its dependencies. This project links no such
// files, but may run one that starts others. The structures are the gABI's, in Elf32's field order.

import { bytes, layout, type Struct, u16, u32 } from "../memory/layout.ts";
import { toOffset } from "../memory/numbers.ts";
import * as elf from "./constants.ts";
import { machineName } from "./ehdr.ts";
import { ElfError } from "./error.ts";
import type { FileBytes } from "./file.ts";

export const Ehdr32 = layout("Elf32_Ehdr", {
  e_ident: bytes(16),
  e_type: u16,
  e_machine: u16,
  e_version: u32,
  e_entry: u32,
  e_phoff: u32,
  e_shoff: u32,
  e_flags: u32,
  e_ehsize: u16,
  e_phentsize: u16,
  e_phnum: u16,
  e_shentsize: u16,
  e_shnum: u16,
  e_shstrndx: u16,
});

export const Phdr32 = layout("Elf32_Phdr", {
  p_type: u32,
  p_offset: u32,
  p_vaddr: u32,
  p_paddr: u32,
  p_filesz: u32,
  p_memsz: u32,
  p_flags: u32,
  p_align: u32,
});
type Phdr32 = Struct<typeof Phdr32>;

export const Dyn32 = layout("Elf32_Dyn", { d_tag: u32, d_val: u32 });

interface Elf32 {
  /** PT_INTERP; undefined for static programs and libraries. */
  readonly interpreter: string | undefined;
  /** DT_NEEDED, in order. */
  readonly needed: readonly string[];
}

/** Throws ElfError for a file that an x86-64 kernel does not run. */
export function readElf32(file: FileBytes): Elf32 {
  const cannot = (structure: string, fault: string) => new ElfError(file.path, structure, fault);
  const ehdr = Ehdr32.at(file.view(toOffset(0), Ehdr32.size, "ELF header"));
  const { e_machine, e_phoff, e_phentsize, e_phnum } = ehdr;
  if (ehdr.e_ident[elf.EI_DATA] !== elf.ELFDATA2LSB) throw cannot("ELF header", "not little-endian");
  if (e_machine !== elf.EM_386 && e_machine !== elf.EM_X86_64)
    throw cannot("ELF header", `for machine ${machineName(e_machine)}, and only x86-64 is supported`);
  if (e_phentsize !== Phdr32.size || e_phnum === 0)
    throw cannot("ELF header", `a 32-bit file with ${e_phnum} program headers of ${e_phentsize} bytes`);
  const table = file.view(toOffset(e_phoff), e_phnum * Phdr32.size, "program headers");
  const phdrs = Array.from({ length: e_phnum }, (_, i) => Phdr32.at(table, i * Phdr32.size));
  const interpreter = phdrs.find(({ p_type }) => p_type === elf.PT_INTERP);
  const dynamic = phdrs.findLast(({ p_type, p_filesz }) => p_type === elf.PT_DYNAMIC && p_filesz > 0);
  return {
    interpreter: interpreter && file.stringAt(toOffset(interpreter.p_offset), interpreter.p_filesz, "PT_INTERP"),
    needed: dynamic ? neededIn(file, phdrs, dynamic) : [],
  };
}

function neededIn(file: FileBytes, phdrs: readonly Phdr32[], { p_offset, p_filesz }: Phdr32): string[] {
  const section = file.view(toOffset(p_offset), p_filesz, "dynamic section");
  const needed: number[] = [];
  let strings = 0;
  for (let at = 0; at + Dyn32.size <= section.byteLength; at += Dyn32.size) {
    const { d_tag, d_val } = Dyn32.at(section, at);
    if (d_tag === elf.DT_NULL) break;
    if (d_tag === elf.DT_NEEDED) needed.push(d_val);
    if (d_tag === elf.DT_STRTAB) strings = d_val;
  }
  const load = phdrs.find(
    ({ p_type, p_vaddr, p_filesz }) => p_type === elf.PT_LOAD && strings >= p_vaddr && strings < p_vaddr + p_filesz,
  );
  if (!load) return [];
  const start = strings - load.p_vaddr + load.p_offset;
  const end = load.p_offset + load.p_filesz;
  return needed
    .filter((offset) => start + offset < end)
    .map((offset) => file.stringAt(toOffset(start + offset), Math.min(end - start - offset, LONGEST), "string table"));
}

/** In bytes; no name is longer than a path. */
const LONGEST = 4096;
