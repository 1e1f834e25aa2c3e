// The ELF header (gABI, "ELF Header").

import { bytes, layout, type Struct, u16, u32, u64 } from "../memory/layout.ts";
import type { Offset, Vaddr } from "../memory/numbers.ts";
import * as elf from "./constants.ts";
import { ElfError } from "./error.ts";

export const Ehdr = layout("Elf64_Ehdr", {
  e_ident: bytes(16),
  e_type: u16,
  e_machine: u16,
  e_version: u32,
  e_entry: u64<Vaddr>(),
  e_phoff: u64<Offset>(),
  e_shoff: u64<Offset>(),
  e_flags: u32,
  e_ehsize: u16,
  e_phentsize: u16,
  e_phnum: u16,
  e_shentsize: u16,
  e_shnum: u16,
  e_shstrndx: u16,
});
export type Ehdr = Struct<typeof Ehdr>;

const MACHINES: Readonly<Record<number, string>> = {
  3: "i386",
  8: "MIPS",
  20: "PowerPC",
  21: "PowerPC64",
  22: "S/390",
  40: "ARM",
  62: "x86-64",
  183: "AArch64",
  243: "RISC-V",
  258: "LoongArch",
};

/** The machine's name, or its number if unknown. */
export const machineName = (machine: number): string => MACHINES[machine] ?? `${machine}`;

/** Why these bytes are not the start of an ELF64 x86-64 program or shared object; undefined if they are. */
export function faultOfHeader(head: DataView): string | undefined {
  if (head.byteLength < elf.ELFMAG.length || elf.ELFMAG.some((byte, i) => head.getUint8(i) !== byte))
    return "not an ELF file";
  // Identification is checked before length: a header of another class has another size and is not truncated.
  const { e_type, e_machine, e_version } = Ehdr.offsetOf;
  if (head.byteLength < e_version) return `the file ends within it, after ${head.byteLength} bytes`;
  if (head.getUint8(elf.EI_CLASS) === elf.ELFCLASS32) return "a 32-bit file, and only 64-bit x86-64 is supported";
  if (head.getUint8(elf.EI_CLASS) !== elf.ELFCLASS64) return `unknown class ${head.getUint8(elf.EI_CLASS)}`;
  if (head.getUint8(elf.EI_DATA) !== elf.ELFDATA2LSB) return "not little-endian";
  const machine = head.getUint16(e_machine, true);
  if (machine !== elf.EM_X86_64) return `for machine ${machineName(machine)}, and only x86-64 is supported`;
  if (head.byteLength < Ehdr.size) return `the file ends within it, after ${head.byteLength} bytes`;
  const type = head.getUint16(e_type, true);
  if (type !== elf.ET_DYN && type !== elf.ET_EXEC) return `e_type ${type} is neither a program nor a shared object`;
  return undefined;
}

/** The header of a program or shared object that this project can read. Throws ElfError for any other. */
export function readEhdr(path: string, head: DataView): Ehdr {
  const fault = faultOfHeader(head);
  if (fault !== undefined) throw new ElfError(path, "ELF header", fault);
  return Ehdr.at(head);
}
