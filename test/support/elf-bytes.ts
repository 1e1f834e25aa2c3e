// An ELF file open for damage: finds fields by their names in the specification and overwrites them. It shares nothing
// with lib/elf on purpose, so that the two cannot be wrong in the same way, and it checks nothing.

import { readFileSync, writeFileSync } from "node:fs";

type Size = 1 | 2 | 4 | 8;
type Layout = Record<string, readonly [offset: number, size: Size]>;

const EHDR = {
  ei_class: [4, 1],
  ei_data: [5, 1],
  e_type: [16, 2],
  e_machine: [18, 2],
  e_version: [20, 4],
  e_entry: [24, 8],
  e_phoff: [32, 8],
  e_shoff: [40, 8],
  e_flags: [48, 4],
  e_ehsize: [52, 2],
  e_phentsize: [54, 2],
  e_phnum: [56, 2],
  e_shentsize: [58, 2],
  e_shnum: [60, 2],
  e_shstrndx: [62, 2],
} as const satisfies Layout;

const PHDR = {
  p_type: [0, 4],
  p_flags: [4, 4],
  p_offset: [8, 8],
  p_vaddr: [16, 8],
  p_paddr: [24, 8],
  p_filesz: [32, 8],
  p_memsz: [40, 8],
  p_align: [48, 8],
} as const satisfies Layout;

export const PT = { NULL: 0, LOAD: 1, DYNAMIC: 2, INTERP: 3, GNU_STACK: 0x6474e551, GNU_RELRO: 0x6474e552 } as const;

export const DT = {
  NULL: 0,
  NEEDED: 1,
  PLTRELSZ: 2,
  HASH: 4,
  STRTAB: 5,
  SYMTAB: 6,
  RELA: 7,
  RELASZ: 8,
  RELAENT: 9,
  STRSZ: 10,
  SYMENT: 11,
  SONAME: 14,
  SYMBOLIC: 16,
  REL: 17,
  RELSZ: 18,
  DEBUG: 21,
  TEXTREL: 22,
  JMPREL: 23,
  INIT_ARRAY: 25,
  FINI_ARRAY: 26,
  INIT_ARRAYSZ: 27,
  FINI_ARRAYSZ: 28,
  PREINIT_ARRAY: 32,
  PREINIT_ARRAYSZ: 33,
  GNU_HASH: 0x6ffffef5,
  VERSYM: 0x6ffffff0,
  VERDEF: 0x6ffffffc,
  VERDEFNUM: 0x6ffffffd,
  VERNEED: 0x6ffffffe,
  VERNEEDNUM: 0x6fffffff,
} as const;

const DYN = { d_tag: [0, 8], d_val: [8, 8] } as const satisfies Layout;

const PHDR_SIZE = 56;
const DYN_SIZE = 16;
const SYM_SIZE = 24;

/** A field of one of the file's structures, by its offset in the file. */
export interface FieldAt {
  readonly name: string;
  readonly offset: number;
  readonly size: Size;
}

export class ElfBytes {
  bytes: Buffer;

  constructor(path: string) {
    this.bytes = readFileSync(path);
  }

  save(path: string): void {
    writeFileSync(path, this.bytes);
  }

  get(offset: number, size: Size): number {
    return size === 8 ? Number(this.bytes.readBigUInt64LE(offset)) : this.bytes.readUIntLE(offset, size);
  }

  set(offset: number, size: Size, value: number | bigint): void {
    if (size === 8) this.bytes.writeBigUInt64LE(BigInt(value), offset);
    else this.bytes.writeUIntLE(Number(value), offset, size);
  }

  setHeader(field: keyof typeof EHDR, value: number | bigint): void {
    const [offset, size] = EHDR[field];
    this.set(offset, size, value);
  }

  /** Of the first segment of that type. */
  setSegment(type: number, field: keyof typeof PHDR, value: number | bigint): void {
    const [offset, size] = PHDR[field];
    this.set(this.segment(type) + offset, size, value);
  }

  /** Of the last segment of that type. */
  setLastSegment(type: number, field: keyof typeof PHDR, value: number | bigint): void {
    const [offset, size] = PHDR[field];
    this.set(this.last(type) + offset, size, value);
  }

  lastSegment(type: number, field: keyof typeof PHDR): number {
    const [offset, size] = PHDR[field];
    return this.get(this.last(type) + offset, size);
  }

  /** The value of the first entry with that tag. */
  setDynamic(tag: number, value: number | bigint): void {
    this.set(this.dynamic(tag) + 8, 8, value);
  }

  /** The entry's tag becomes one that nobody reads. */
  removeDynamic(tag: number): void {
    this.set(this.dynamic(tag), 8, 0x6000_0000);
  }

  retagDynamic(tag: number, newTag: number): void {
    this.set(this.dynamic(tag), 8, newTag);
  }

  hasDynamic(tag: number): boolean {
    return this.entryOf(tag) !== undefined;
  }

  dynamicValue(tag: number): number {
    return this.get(this.dynamic(tag) + 8, 8);
  }

  /** Where in the file the table lies to which that tag points. */
  table(tag: number): number {
    return this.offsetOf(this.dynamicValue(tag));
  }

  /** Fills every symbol's field at `offset` but the null symbol's. */
  setSymbols(offset: number, size: Size, value: number): void {
    const symtab = this.table(DT.SYMTAB);
    // what follows .dynsym in all that ld writes is .dynstr
    for (let at = symtab + SYM_SIZE; at < this.table(DT.STRTAB); at += SYM_SIZE) this.set(at + offset, size, value);
  }

  /** Every field of the ELF header, of each program header and of each entry of the dynamic section. */
  fields(): FieldAt[] {
    const of = (structure: string, layout: Layout, at: number): FieldAt[] =>
      Object.entries(layout).map(([name, [offset, size]]) => ({
        name: `${structure} ${name}`,
        offset: at + offset,
        size,
      }));
    return [
      ...of("ELF header", EHDR, 0),
      ...this.segments().flatMap((at, i) => of(`segment ${i}`, PHDR, at)),
      ...this.entries().flatMap((at, i) => of(`dynamic entry ${i}`, DYN, at)),
    ];
  }

  private segments(): number[] {
    const first = this.get(...EHDR.e_phoff);
    return Array.from({ length: this.get(...EHDR.e_phnum) }, (_, i) => first + i * PHDR_SIZE);
  }

  private segment(type: number): number {
    const found = this.segments().find((at) => this.get(at, 4) === type);
    if (found === undefined) throw new Error(`No segment of type ${type}`);
    return found;
  }

  private last(type: number): number {
    return this.segments().findLast((at) => this.get(at, 4) === type) ?? this.segment(type);
  }

  private dynamic(tag: number): number {
    const entry = this.entryOf(tag);
    if (entry === undefined) throw new Error(`No dynamic entry with tag ${tag}`);
    return entry;
  }

  private entryOf(tag: number): number | undefined {
    return this.entries().find((entry) => this.get(entry, 8) === tag);
  }

  private entries(): number[] {
    const at = this.segment(PT.DYNAMIC);
    const start = this.get(at + PHDR.p_offset[0], 8);
    return Array.from({ length: this.get(at + PHDR.p_filesz[0], 8) / DYN_SIZE }, (_, i) => start + i * DYN_SIZE);
  }

  private offsetOf(vaddr: number): number {
    for (const at of this.segments()) {
      if (this.get(at, 4) !== PT.LOAD) continue;
      const start = this.get(at + PHDR.p_vaddr[0], 8);
      if (vaddr >= start && vaddr < start + this.get(at + PHDR.p_filesz[0], 8)) {
        return vaddr - start + this.get(at + PHDR.p_offset[0], 8);
      }
    }
    throw new Error(`Nothing is loaded at ${vaddr}`);
  }
}
