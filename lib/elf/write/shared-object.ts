// A shared object made of tables: headers, symbols, strings, hash tables, versions and a dynamic section. Without code
// it needs no execute permission, so it loads from a noexec mount. The segments:
//
//   R    ELF header, program headers, tables
//   RX   code, if any
//   RW   the code's data; the dynamic section (glibc before 2.35 writes to it, wherever it is); slots
//   RW   `zeroPages` of zeroes, for the code that loads the object to use: addresses in there belong to this object,
//        and so to its namespace
//
// `plan` fixes every position, `emit` fills a buffer in that order.

import { writeU64 } from "../../memory/layout.ts";
import { type Address, alignUp, PAGE_SIZE, toOffset, toVaddr, type Vaddr } from "../../memory/numbers.ts";
import * as elf from "../constants.ts";
import { Dyn } from "../dyn.ts";
import { Ehdr } from "../ehdr.ts";
import { Phdr } from "../phdr.ts";
import { Rela } from "../rela.ts";
import { Sym } from "../sym.ts";
import { withSections } from "./sections.ts";

/** A table of the object: the dynamic tag that names it, and its bytes. */
export interface Table {
  readonly tag: number;
  readonly bytes: Uint8Array;
}

interface SharedObjectParts {
  /** DT_SYMTAB, DT_STRTAB, a hash table, and with versions DT_VERSYM and DT_VERDEF. */
  readonly tables: readonly Table[];
  /** Number of records in DT_VERDEF. */
  readonly verdefCount?: number;
  /** Offsets into DT_STRTAB. */
  readonly soname: number;
  readonly needed: readonly number[];
  readonly rpath?: number | undefined;
  readonly zeroPages?: number | undefined;
  /** A block of thread-local zeroes. */
  readonly tls?: ThreadLocal | undefined;
  /** Words that relocations may fill, after the dynamic section. */
  readonly slots?: number | undefined;
  readonly code?: CodeParts | undefined;
  /** Offset of DT_FINI in the zero pages, in bytes. */
  readonly zeroPagesFini?: number | undefined;
  /** DT_FLAGS_1 */
  readonly flags1?: number | undefined;
  /** ELFOSABI_NONE by default. */
  readonly osAbi?: number | undefined;
}

/** Machine code, followed by its writable data, laid out as in memory. */
interface CodeParts {
  readonly bytes: Uint8Array;
  /** Start of the writable part, a multiple of the page size. */
  readonly dataAt: number;
  /** Offset of DT_INIT from the beginning, in bytes. */
  readonly init?: number | undefined;
  /** The same for DT_FINI. */
  readonly fini?: number | undefined;
  /** The same for DT_PLTGOT, three words of the data: a loader needs it to bind functions lazily (DT_JMPREL). */
  readonly pltGot?: number | undefined;
}

/** p_memsz and p_align. */
export interface ThreadLocal {
  readonly size: number;
  readonly alignment: number;
}

export interface SharedObjectPlan {
  readonly tables: readonly (Table & { readonly at: Vaddr })[];
  readonly code: CodeParts | undefined;
  /** Where the code begins. */
  readonly codeAt: Vaddr;
  readonly dynamic: readonly DynamicEntry[];
  readonly dynamicAt: Vaddr;
  readonly slotsAt: Vaddr;
  readonly tls: ThreadLocal | undefined;
  readonly osAbi: number | undefined;
  /** Where the zero pages begin. */
  readonly zeroAt: Vaddr;
  readonly zeroSize: number;
  /** Size of the file in bytes, without section headers. */
  readonly size: number;
}

/** Where a symbol is: an address, or an offset in bytes into the object's own zero pages. */
export type Place = { readonly address: Address } | { readonly zeroPageOffset: number };

/** Neither undefined nor absolute: the value is a vaddr of this object, or an offset into its thread-local block. */
export const ANY_SECTION = 1;

/** Turns a symbol into a plain function at a place, keeping its name and binding. */
export function placeFunction(sym: Sym, place: Place, plan: SharedObjectPlan): void {
  if ("address" in place) placeFunctionAt(sym, place.address);
  else {
    sym.st_value = toVaddr(plan.zeroAt + place.zeroPageOffset);
    sym.st_shndx = ANY_SECTION;
    sym.st_info = (sym.st_info & 0xf0) | elf.STT_FUNC;
  }
}

/** The same for any object: absolute, or relative to that object's load bias. */
export function placeFunctionAt(sym: Sym, address: Address, loadBias?: Address): void {
  sym.st_value = toVaddr(address - (loadBias ?? 0));
  sym.st_shndx = loadBias === undefined ? elf.SHN_ABS : ANY_SECTION;
  sym.st_info = (sym.st_info & 0xf0) | elf.STT_FUNC;
}

type DynamicEntry = readonly [tag: number, value: number];

/** A program header. */
export interface Segment {
  readonly type: number;
  readonly flags: number;
  readonly vaddr: number;
  /** Defaults to the vaddr. */
  readonly offset?: number;
  readonly filesz: number;
  readonly memsz: number;
  readonly align: number;
}

const headersEnd = ({ tls, code }: { tls?: ThreadLocal | undefined; code?: CodeParts | undefined }): number =>
  sizeOfHeaders(5 + (tls ? 1 : 0) + (code ? 1 : 0));

/** Size in bytes of the ELF header and `count` program headers. */
export const sizeOfHeaders = (count: number): number => Ehdr.size + count * Phdr.size;

/** Places tables one after another, from `start` bytes on. */
export function placeTables(tables: readonly Table[], start: number): (Table & { readonly at: Vaddr })[] {
  let end = start;
  return tables.map((table) => {
    const at = alignUp(toVaddr(end), 8);
    end = at + table.bytes.length;
    return { ...table, at };
  });
}

const endOf = (tables: readonly (Table & { readonly at: Vaddr })[], start: number): number =>
  tables.reduce((_, { at, bytes }) => at + bytes.length, start);

/** Where the string table is. */
export function stringsOf(tables: readonly (Table & { readonly at: Vaddr })[]): { at: Vaddr; size: number } {
  const strings = tables.find(({ tag }) => tag === elf.DT_STRTAB);
  if (!strings) throw new Error("Cannot write a shared object: it has no names");
  return { at: strings.at, size: strings.bytes.length };
}

/** The dynamic section's entries for names and tables. The caller adds DT_NULL. */
export function dynamicEntries(
  { soname, needed, rpath, verdefCount = 0 }: Pick<SharedObjectParts, "soname" | "needed" | "rpath" | "verdefCount">,
  tables: readonly (Table & { readonly at: Vaddr })[],
): DynamicEntry[] {
  const dynamic: DynamicEntry[] = [[elf.DT_SONAME, soname]];
  for (const offset of needed) dynamic.push([elf.DT_NEEDED, offset]);
  if (rpath !== undefined) dynamic.push([elf.DT_RPATH, rpath]);
  for (const { tag, at, bytes } of tables) {
    dynamic.push([tag, at]);
    if (tag === elf.DT_STRTAB) dynamic.push([elf.DT_STRSZ, bytes.length]);
    if (tag === elf.DT_SYMTAB) dynamic.push([elf.DT_SYMENT, Sym.size]);
    if (tag === elf.DT_RELA) dynamic.push([elf.DT_RELASZ, bytes.length], [elf.DT_RELAENT, Rela.size]);
    if (tag === elf.DT_JMPREL) dynamic.push([elf.DT_PLTRELSZ, bytes.length], [elf.DT_PLTREL, elf.DT_RELA]);
    if (tag === elf.DT_VERDEF) dynamic.push([elf.DT_VERDEFNUM, verdefCount]);
  }
  return dynamic;
}

/** Throws if the data of `code` does not start on a page boundary. */
export function planSharedObject(parts: SharedObjectParts): SharedObjectPlan {
  const { code, flags1, zeroPagesFini } = parts;
  const tables = placeTables(parts.tables, headersEnd(parts));
  const dynamic = dynamicEntries(parts, tables);
  const codeAt = alignUp(toVaddr(endOf(tables, headersEnd(parts))), PAGE_SIZE);
  if (code && code.dataAt % PAGE_SIZE !== 0)
    throw new Error(`Cannot plan a shared object: the data at ${code.dataAt} does not begin with a page`);
  if (code?.init !== undefined) dynamic.push([elf.DT_INIT, codeAt + code.init]);
  if (code?.fini !== undefined) dynamic.push([elf.DT_FINI, codeAt + code.fini]);
  if (code?.pltGot !== undefined) dynamic.push([elf.DT_PLTGOT, codeAt + code.pltGot]);
  if (flags1 !== undefined) dynamic.push([elf.DT_FLAGS_1, flags1]);
  const dynamicSize = (dynamic.length + (zeroPagesFini === undefined ? 1 : 2)) * Dyn.size;
  const dynamicAt = code ? alignUp(toVaddr(codeAt + Math.max(code.bytes.length, code.dataAt)), 16) : codeAt;
  const slotsAt = toVaddr(dynamicAt + dynamicSize);
  const size = slotsAt + 8 * (parts.slots ?? 0);
  const zeroAt = alignUp(toVaddr(size), PAGE_SIZE);
  const zeroSize = (parts.zeroPages ?? 0) * PAGE_SIZE;
  if (zeroPagesFini !== undefined) dynamic.push([elf.DT_FINI, zeroAt + zeroPagesFini]);
  dynamic.push([elf.DT_NULL, 0]);
  const { tls, osAbi } = parts;
  return { tables, code, codeAt, dynamic, dynamicAt, slotsAt, tls, osAbi, zeroAt, zeroSize, size };
}

export function emitSharedObject(plan: SharedObjectPlan): Uint8Array {
  const { code, codeAt, dynamicAt, slotsAt, zeroAt, zeroSize, tls, osAbi } = plan;
  const file = new Uint8Array(plan.size);
  const view = new DataView(file.buffer);
  const tablesEnd = endOf(plan.tables, headersEnd(plan));
  const dataAt = code ? codeAt + code.dataAt : dynamicAt;
  const flags = elf.PF_R | elf.PF_W;
  const load = (flags: number, vaddr: number, filesz: number, memsz = filesz): Segment => {
    return { type: elf.PT_LOAD, flags, vaddr, filesz, memsz, align: PAGE_SIZE };
  };
  const dynamicSize = slotsAt - dynamicAt;
  const segments: Segment[] = [
    load(elf.PF_R, 0, tablesEnd),
    ...(code ? [load(elf.PF_R | elf.PF_X, codeAt, Math.min(code.dataAt, code.bytes.length))] : []),
    load(flags, dataAt, plan.size - dataAt),
    load(flags, zeroAt, 0, zeroSize),
    { type: elf.PT_DYNAMIC, flags, vaddr: dynamicAt, filesz: dynamicSize, memsz: dynamicSize, align: 8 },
    { type: elf.PT_GNU_STACK, flags, vaddr: 0, filesz: 0, memsz: 0, align: 16 },
    ...(tls
      ? [{ type: elf.PT_TLS, flags: elf.PF_R, vaddr: dynamicAt, filesz: 0, memsz: tls.size, align: tls.alignment }]
      : []),
  ];
  emitHeaders(view, segments, osAbi);

  let end = headersEnd(plan);
  for (const { at, bytes } of plan.tables) {
    if (at < end) throw new Error(`Cannot write a shared object: a table at ${at} overlaps what ends at ${end}`);
    file.set(bytes, at);
    end = at + bytes.length;
  }
  if (code) {
    if (codeAt < end) throw new Error("Cannot write a shared object: its code overlaps its tables");
    file.set(code.bytes, codeAt);
    end = codeAt + code.bytes.length;
  }
  if (dynamicAt < end) throw new Error("Cannot write a shared object: its dynamic section overlaps its tables");
  emitDynamic(view, dynamicAt, plan.dynamic);
  return withSections(file, stringsOf(plan.tables), { at: dynamicAt, size: dynamicSize });
}

/** Writes the ELF header and program headers of a shared object. */
export function emitHeaders(view: DataView, segments: readonly Segment[], osAbi = elf.ELFOSABI_NONE): void {
  const ehdr = Ehdr.at(view);
  const padding = new Array<number>(8).fill(0);
  ehdr.e_ident = Uint8Array.of(...elf.ELFMAG, elf.ELFCLASS64, elf.ELFDATA2LSB, elf.EV_CURRENT, osAbi, ...padding);
  ehdr.e_type = elf.ET_DYN;
  ehdr.e_machine = elf.EM_X86_64;
  ehdr.e_version = elf.EV_CURRENT;
  ehdr.e_phoff = toOffset(Ehdr.size);
  ehdr.e_ehsize = Ehdr.size;
  ehdr.e_phentsize = Phdr.size;
  ehdr.e_phnum = segments.length;
  segments.forEach(({ type, flags, vaddr, offset = vaddr, filesz, memsz, align }, i) => {
    const phdr = Phdr.at(view, Ehdr.size + i * Phdr.size);
    phdr.p_type = type;
    phdr.p_flags = flags;
    phdr.p_offset = toOffset(offset);
    phdr.p_vaddr = toVaddr(vaddr);
    phdr.p_paddr = vaddr;
    phdr.p_filesz = filesz;
    phdr.p_memsz = memsz;
    phdr.p_align = align;
  });
}

export function emitDynamic(view: DataView, at: number, entries: readonly DynamicEntry[]): void {
  entries.forEach(([tag, value], i) => {
    const entry = at + i * Dyn.size;
    Dyn.at(view, entry).d_tag = tag;
    writeU64(view, entry + Dyn.offsetOf.d_val, value);
  });
}
