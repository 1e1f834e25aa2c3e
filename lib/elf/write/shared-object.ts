// A shared object made of tables: headers, symbols, strings, hash tables,
// versions and a dynamic section. It holds no code and needs no right to execute
// files, so it loads from a noexec mount. Three segments:
//
//   R    ELF header, program headers, tables
//   RW   the dynamic section (glibc before 2.35 writes to it, wherever it is), slots
//   R    `zeroPages` of nothing, where a loader's client may put what it likes:
//        addresses in there belong to this object, and so to its namespace
//
// `plan` fixes every position, `emit` fills a buffer in that order.

import { writeU64 } from "../../memory/layout.ts";
import { type Address, alignUp, PAGE_SIZE, toOffset, toVaddr, type Vaddr } from "../../memory/numbers.ts";
import {
  DT_NEEDED,
  DT_NULL,
  DT_RELA,
  DT_RELAENT,
  DT_RELASZ,
  DT_SONAME,
  DT_STRSZ,
  DT_STRTAB,
  DT_SYMENT,
  DT_SYMTAB,
  DT_VERDEF,
  DT_VERDEFNUM,
  ELFCLASS64,
  ELFDATA2LSB,
  ELFMAG,
  EM_X86_64,
  ET_DYN,
  EV_CURRENT,
  PF_R,
  PF_W,
  PT_DYNAMIC,
  PT_GNU_STACK,
  PT_LOAD,
  PT_TLS,
  SHN_ABS,
  STT_FUNC,
} from "../constants.ts";
import { Dyn } from "../dyn.ts";
import { Ehdr } from "../ehdr.ts";
import { Phdr } from "../phdr.ts";
import { Rela } from "../rela.ts";
import { Sym } from "../sym.ts";

/** A table of the object: the dynamic tag that names it, and its bytes. */
export interface Table {
  readonly tag: number;
  readonly bytes: Uint8Array;
}

export interface SharedObjectParts {
  /** DT_SYMTAB, DT_STRTAB, a hash table, and with versions DT_VERSYM and DT_VERDEF. */
  readonly tables: readonly Table[];
  /** How many records DT_VERDEF has. */
  readonly verdefCount: number;
  /** Offsets into DT_STRTAB. */
  readonly soname: number;
  readonly needed: readonly number[];
  readonly zeroPages: number;
  /** A block of thread-local zeroes. */
  readonly tls?: ThreadLocal;
  /** Words that relocations may fill, behind the dynamic section. */
  readonly slots?: number;
}

/** p_memsz and p_align. */
export interface ThreadLocal {
  readonly size: number;
  readonly alignment: number;
}

export interface SharedObjectPlan {
  readonly tables: readonly (Table & { readonly at: Vaddr })[];
  readonly dynamic: readonly (readonly [tag: number, value: number])[];
  readonly dynamicAt: Vaddr;
  readonly slotsAt: Vaddr;
  readonly tls: ThreadLocal | undefined;
  /** Where the zero pages begin. */
  readonly zeroAt: Vaddr;
  readonly zeroSize: number;
  /** Of the file, in bytes. */
  readonly size: number;
}

/** Where a symbol is: at an address, or so many bytes into the object's own zero pages. */
export type Place = { readonly address: Address } | { readonly zeroPageOffset: number };

/** Neither undefined nor absolute: the value is a vaddr of this object, or an offset into its thread-local block. */
export const ANY_SECTION = 1;

/** Makes a symbol a plain function at a place; its name and binding stay. */
export function placeFunction(sym: Sym, place: Place, plan: SharedObjectPlan): void {
  const isAbsolute = "address" in place;
  sym.st_value = toVaddr(isAbsolute ? place.address : plan.zeroAt + place.zeroPageOffset);
  sym.st_shndx = isAbsolute ? SHN_ABS : ANY_SECTION;
  sym.st_info = (sym.st_info & 0xf0) | STT_FUNC;
}

const PHDR_COUNT = 5;
const headersEnd = (tls: ThreadLocal | undefined): number => Ehdr.size + (PHDR_COUNT + (tls ? 1 : 0)) * Phdr.size;

export function planSharedObject(parts: SharedObjectParts): SharedObjectPlan {
  let end = headersEnd(parts.tls);
  const tables = parts.tables.map((table) => {
    const at = alignUp(toVaddr(end), 8);
    end = at + table.bytes.length;
    return { ...table, at };
  });
  const dynamic: [number, number][] = [[DT_SONAME, parts.soname]];
  for (const offset of parts.needed) dynamic.push([DT_NEEDED, offset]);
  for (const { tag, at, bytes } of tables) {
    dynamic.push([tag, at]);
    if (tag === DT_STRTAB) dynamic.push([DT_STRSZ, bytes.length]);
    if (tag === DT_SYMTAB) dynamic.push([DT_SYMENT, Sym.size]);
    if (tag === DT_RELA) dynamic.push([DT_RELASZ, bytes.length], [DT_RELAENT, Rela.size]);
    if (tag === DT_VERDEF) dynamic.push([DT_VERDEFNUM, parts.verdefCount]);
  }
  dynamic.push([DT_NULL, 0]);
  const dynamicAt = alignUp(toVaddr(end), PAGE_SIZE);
  const slotsAt = toVaddr(dynamicAt + dynamic.length * Dyn.size);
  const size = slotsAt + 8 * (parts.slots ?? 0);
  const zeroAt = alignUp(toVaddr(size), PAGE_SIZE);
  const zeroSize = parts.zeroPages * PAGE_SIZE;
  return { tables, dynamic, dynamicAt, slotsAt, tls: parts.tls, zeroAt, zeroSize, size };
}

export function emitSharedObject(plan: SharedObjectPlan): Uint8Array {
  const file = new Uint8Array(plan.size);
  const view = new DataView(file.buffer);
  const ehdr = Ehdr.at(view);
  ehdr.e_ident = Uint8Array.of(...ELFMAG, ELFCLASS64, ELFDATA2LSB, EV_CURRENT, ...new Array<number>(9).fill(0));
  ehdr.e_type = ET_DYN;
  ehdr.e_machine = EM_X86_64;
  ehdr.e_version = EV_CURRENT;
  ehdr.e_phoff = toOffset(Ehdr.size);
  ehdr.e_ehsize = Ehdr.size;
  ehdr.e_phentsize = Phdr.size;
  ehdr.e_phnum = (headersEnd(plan.tls) - Ehdr.size) / Phdr.size;

  const tablesEnd = plan.tables.reduce((_, { at, bytes }) => at + bytes.length, 0);
  const dynamicSize = plan.slotsAt - plan.dynamicAt;
  const dataSize = plan.size - plan.dynamicAt;
  const headers: [type: number, flags: number, at: number, filesz: number, memsz: number, align: number][] = [
    [PT_LOAD, PF_R, 0, tablesEnd, tablesEnd, PAGE_SIZE],
    [PT_LOAD, PF_R | PF_W, plan.dynamicAt, dataSize, dataSize, PAGE_SIZE],
    [PT_LOAD, PF_R, plan.zeroAt, 0, plan.zeroSize, PAGE_SIZE],
    [PT_DYNAMIC, PF_R | PF_W, plan.dynamicAt, dynamicSize, dynamicSize, 8],
    [PT_GNU_STACK, PF_R | PF_W, 0, 0, 0, 16],
  ];
  if (plan.tls) headers.push([PT_TLS, PF_R, plan.dynamicAt, 0, plan.tls.size, plan.tls.alignment]);
  headers.forEach(([type, flags, at, filesz, memsz, align], i) => {
    const phdr = Phdr.at(view, Ehdr.size + i * Phdr.size);
    phdr.p_type = type;
    phdr.p_flags = flags;
    phdr.p_offset = toOffset(at);
    phdr.p_vaddr = toVaddr(at);
    phdr.p_paddr = at;
    phdr.p_filesz = filesz;
    phdr.p_memsz = memsz;
    phdr.p_align = align;
  });

  let end = headersEnd(plan.tls);
  for (const { at, bytes } of plan.tables) {
    if (at < end) throw new Error(`Cannot write a shared object: a table at ${at} overlaps what ends at ${end}`);
    file.set(bytes, at);
    end = at + bytes.length;
  }
  if (plan.dynamicAt < end) throw new Error("Cannot write a shared object: its dynamic section overlaps its tables");
  plan.dynamic.forEach(([tag, value], i) => {
    const at = plan.dynamicAt + i * Dyn.size;
    Dyn.at(view, at).d_tag = tag;
    writeU64(view, at + Dyn.offsetOf.d_val, value);
  });
  return file;
}
