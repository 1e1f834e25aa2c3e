// A placeholder: a shared object with the interface of another, made from the other's file alone. It stands in for the
// other until that is loaded, so that objects can be linked to it before. Its tables are the source's own, byte for
// byte, as in a mirror, and symbols keep their positions in the symbol table. In addition:
//
//   functions    are code that says which one was called, and ends the process
//   objects      are storage with the bytes of the source's file, for COPY relocations; objects that overlap there
//                overlap here
//   DT_INIT      calls an imported function, `attach`, with the address of this object's ELF header: it may write the
//                real addresses into the symbol table, which is therefore in writable memory
//
//   RW   ELF header, program headers, tables, dynamic section, slot, storage
//   RX   code
//   RW   zero-initialized storage, if there is so much that code could not reach over it (32 bits)
//
// Symbols that are apart in the source share neither an address nor an end address here: an address in a slot says
// which symbol it was bound to.

import { add, alignUp, PAGE_SIZE, toVaddr, type Vaddr } from "../../memory/numbers.ts";
import { Assembler } from "../../x86-64/assembler.ts";
import * as elf from "../constants.ts";
import { Dyn } from "../dyn.ts";
import type { FileImage } from "../file.ts";
import { gnuHash } from "../gnu-hash.ts";
import type { Phdr } from "../phdr.ts";
import { Rela } from "../rela.ts";
import { SYM_WORDS, Sym } from "../sym.ts";
import { type CopiedTables, copyTables } from "./copied-tables.ts";
import { emitPlaceholderCode, STUB_SIZE, stubs } from "./placeholder-code.ts";
import { withSections } from "./sections.ts";
import {
  ANY_SECTION,
  dynamicEntries,
  emitDynamic,
  emitHeaders,
  placeTables,
  sizeOfHeaders,
  stringsOf,
} from "./shared-object.ts";
import { StringTableWriter } from "./string-table.ts";

interface PlaceholderOptions {
  readonly soname: string;
  /** Sonames; `agent` is added after them. */
  readonly needed: readonly string[];
  /** The soname of the object that defines `attach`. */
  readonly agent: string;
  /** A function that is called with the address of the placeholder's ELF header. */
  readonly attach: string;
  /** Prefix of the message when a function is called after all. */
  readonly owner: string;
  /** The process's exit status in that case. */
  readonly status: number;
}

const encoder = new TextEncoder();
const SEGMENTS = 5;
/** A distance that code surely reaches, whatever lies in between, in bytes. */
const REACH = 2 ** 30;

/** Throws ElfError if the source's tables cannot be read. */
export function placeholderOf(source: FileImage, options: PlaceholderOptions): Uint8Array {
  const strings = new StringTableWriter(source.strings.size === 0 ? Uint8Array.of(0) : source.strings.bytes);
  const soname = strings.addSoname(options.soname, source);
  const needed = [...options.needed, options.agent].map((name) => strings.add(name));
  const attachAt = strings.add(options.attach);
  const copied = copyTables(source, strings, 1);
  const attach = addReference(source, copied, options.attach, attachAt);
  const { symbols, verdefCount } = copied;
  const versions = ownVersions(source, copied);
  // glibc trusts a version table, but has no versions to look up if none are defined or needed.
  const tables = copied.tables.filter(({ tag }) => tag !== elf.DT_VERSYM || versions);
  const relocations = new Uint8Array(Rela.size);
  const placed = placeTables([...tables, { tag: elf.DT_RELA, bytes: relocations }], sizeOfHeaders(SEGMENTS));
  const dynamic = dynamicEntries({ soname, needed, verdefCount }, placed);
  // Like the source, dlopen refuses it and ld.so loads it at the start of a program.
  if ((source.flags1 & elf.DF_1_NOOPEN) !== 0) dynamic.push([elf.DT_FLAGS_1, elf.DF_1_NOOPEN]);
  const dynamicAt = alignUp(
    placed.reduce((_, { at, bytes }) => toVaddr(at + bytes.length), toVaddr(0)),
    16,
  );
  // DT_INIT and DT_NULL are added later
  const slotAt = toVaddr(dynamicAt + (dynamic.length + 2) * Dyn.size);

  const { functions, objects } = sortSymbols(source, symbols, versions);
  const { withContent, zeroes } = rangesOf(objects);
  const fileEnd = place(withContent, slotAt + 8);
  const nearEnd = place(zeroes, fileEnd);
  const isFar = nearEnd > REACH;
  const dataEnd = isFar ? fileEnd : nearEnd;
  const codeAt = alignUp(toVaddr(dataEnd), PAGE_SIZE);
  const codeOffset = alignUp(fileEnd, PAGE_SIZE);
  const tableAt = (tag: number): number => (placed.find((table) => table.tag === tag)?.at ?? 0) - codeAt;
  const assembler = new Assembler();
  emitPlaceholderCode(assembler, {
    ...{ header: -codeAt, symbols: tableAt(elf.DT_SYMTAB), strings: tableAt(elf.DT_STRTAB), slot: slotAt - codeAt },
    stubs: functions.first.length,
    before: encoder.encode(`${options.owner}: "`),
    after: encoder.encode(`" of "${options.soname}" is called, and was never linked\n`),
    status: options.status,
  });
  const code = assembler.assemble();
  const stubsAt = add(codeAt, code.bytes.length);
  dynamic.push([elf.DT_INIT, codeAt + (code.labels.get("init") ?? 0)], [elf.DT_NULL, 0]);

  const stubBytes = stubs(functions.first, code.bytes.length - (code.labels.get("missing") ?? 0));
  const codeSize = code.bytes.length + stubBytes.length;
  const farAt = alignUp(add(codeAt, codeSize), PAGE_SIZE);
  const farSize = isFar ? place(zeroes, farAt) - farAt : 0;

  const words = new Uint32Array(symbols.buffer);
  for (const { range, symbol, start } of objects) setValue(words, symbol, range.at + start - range.start);
  functions.symbols.forEach(({ symbol, stub }) => {
    setValue(words, symbol, stubsAt + stub * STUB_SIZE);
  });
  const relocation = Rela.at(new DataView(relocations.buffer));
  relocation.r_offset = slotAt;
  relocation.r_type = elf.R_X86_64_GLOB_DAT;
  relocation.r_sym = attach;

  const file = new Uint8Array(codeOffset + codeSize);
  const view = new DataView(file.buffer);
  const [flags, dynamicSize] = [elf.PF_R | elf.PF_W, dynamic.length * Dyn.size];
  const load = { type: elf.PT_LOAD, align: PAGE_SIZE };
  emitHeaders(view, [
    { ...load, flags, vaddr: 0, filesz: fileEnd, memsz: dataEnd },
    { ...load, flags: elf.PF_R | elf.PF_X, vaddr: codeAt, offset: codeOffset, filesz: codeSize, memsz: codeSize },
    ...(isFar ? [{ ...load, flags, vaddr: farAt, offset: 0, filesz: 0, memsz: farSize }] : []),
    { type: elf.PT_DYNAMIC, flags, vaddr: dynamicAt, filesz: dynamicSize, memsz: dynamicSize, align: 8 },
    { type: elf.PT_GNU_STACK, flags, vaddr: 0, filesz: 0, memsz: 0, align: 16 },
  ]);
  for (const { at, bytes } of placed) file.set(bytes, at);
  emitDynamic(view, dynamicAt, dynamic);
  for (const range of withContent) copyContent(source, range, file);
  file.set(code.bytes, codeOffset);
  file.set(stubBytes, codeOffset + code.bytes.length);
  return withSections(file, stringsOf(placed), { at: dynamicAt, size: dynamicSize });
}

/** Makes the last symbol a reference to `name`, and counts it in the hash tables. Returns its index. */
function addReference({ symbols, gnuHash }: FileImage, copied: CopiedTables, name: string, nameAt: number): number {
  const index = symbols.length;
  const sym = Sym.at(new DataView(copied.symbols.buffer), index * Sym.size);
  sym.st_name = nameAt;
  sym.st_info = (elf.STB_GLOBAL << 4) | elf.STT_NOTYPE;
  copied.tables.forEach(({ tag, bytes }, i) => {
    if (tag === elf.DT_HASH) new Uint32Array(bytes.buffer)[1] = index + 1;
    if (tag !== elf.DT_GNU_HASH || !gnuHash) return;
    // A chain ends with the last symbol, unless a linker uses another order; then the new symbol is just not counted.
    if (gnuHash.bucketCount === 0) copied.tables[i] = { tag, bytes: gnuHashOfOne(index, name) };
    else if (gnuHash.isEmpty || gnuHash.symbolCount === index)
      countInGnuHash(new Uint32Array(bytes.buffer), index, name);
  });
  return index;
}

/** The symbols' versions, without those of other objects that the source needs; undefined if it defines none. */
function ownVersions({ verdefs }: FileImage, { versions }: CopiedTables): Uint16Array | undefined {
  if (verdefs.length === 0) return undefined;
  const last = verdefs.reduce((index, version) => Math.max(index, version.index), elf.VER_NDX_GLOBAL);
  versions?.forEach((version, i) => {
    if ((version & ~elf.VERSYM_HIDDEN) > last) versions[i] = elf.VER_NDX_GLOBAL;
  });
  return versions;
}

/**
 * Appends the last symbol to the last chain, where no lookup finds it: the end of that chain gives the number of
 * symbols.
 */
function countInGnuHash(words: Uint32Array, index: number, name: string): void {
  // nbuckets | symoffset | bloom_size | bloom_shift | bloom (two words each) | buckets | chain
  const [bucketCount = 0, , bloomSize = 0] = words;
  const buckets = 4 + 2 * bloomSize;
  const added = words.length - 1;
  const hash = gnuHash(encoder.encode(name));
  const isEmpty = added === buckets + bucketCount;
  if (isEmpty) {
    words[1] = index; // was arbitrary
    words[buckets + (hash % bucketCount)] = index;
  } else words[added - 1] = (words[added - 1] as number) & ~1;
  words[added] = hash | 1;
}

/** A table of one symbol, which its bloom filter rules out. */
function gnuHashOfOne(index: number, name: string): Uint8Array {
  // nbuckets | symoffset | bloom_size | bloom_shift | bloom (two words) | bucket | chain
  return new Uint8Array(Uint32Array.of(1, index, 1, 0, 0, 0, index, gnuHash(encoder.encode(name)) | 1).buffer);
}

/** Storage of the source that must stay contiguous. */
interface Range {
  readonly start: number;
  end: number;
  /** End of its bytes in the file; `start` if it has none. */
  contentEnd: number;
  /** Its position in the placeholder. */
  at: number;
}

interface ObjectSymbol {
  readonly symbol: number;
  readonly start: number;
  readonly end: number;
  range: Range;
}

interface Functions {
  /** Each function and its stub. */
  readonly symbols: { readonly symbol: number; readonly stub: number }[];
  /** The first symbol of each stub. */
  readonly first: number[];
}

/**
 * Separates functions from objects, and sets each symbol's type, binding and section. Hot, so it works on 32-bit words,
 * as a mirror does:
 *
 *   st_name | st_info, st_other, st_shndx | st_value (2) | st_size (2)
 */
function sortSymbols(
  source: FileImage,
  symbols: Uint8Array,
  versions: Uint16Array | undefined,
): { functions: Functions; objects: ObjectSymbol[] } {
  const words = new Uint32Array(symbols.buffer);
  const functions: Functions = { symbols: [], first: [] };
  const objects: ObjectSymbol[] = [];
  // IFUNCs that share a resolver may resolve to different functions.
  const known = new Map<number, number>();
  for (let at = SYM_WORDS, symbol = 1; at < words.length; at += SYM_WORDS, symbol++) {
    const info = words[at + 1] as number;
    const section = info >>> 16;
    const type = info & 15;
    const binding = (info >>> 4) & 15;
    if (section === elf.SHN_UNDEF || section === elf.SHN_ABS) {
      if (section === elf.SHN_UNDEF && versions) versions[symbol] = elf.VER_NDX_LOCAL;
      continue;
    }
    const other = (info >>> 8) & 0xff;
    if (type === elf.STT_TLS || binding === elf.STB_LOCAL) {
      words[at + 1] = describe(binding, elf.STT_NOTYPE, other, elf.SHN_UNDEF);
      setValue(words, symbol, 0);
      continue;
    }
    // A process never unloads an object with a unique symbol, and binds to the first definition that it met.
    const bound = binding === elf.STB_GNU_UNIQUE ? elf.STB_GLOBAL : binding;
    const start = (words[at + 3] as number) * 2 ** 32 + (words[at + 2] as number);
    const load = segmentOf(source.loads, start);
    const isCode = type === elf.STT_NOTYPE && ((load?.p_flags ?? 0) & elf.PF_X) !== 0;
    if (isCode || type === elf.STT_FUNC || type === elf.STT_GNU_IFUNC) {
      words[at + 1] = describe(bound, elf.STT_FUNC, other, ANY_SECTION);
      let stub = type === elf.STT_GNU_IFUNC ? undefined : known.get(start);
      if (stub === undefined) {
        stub = functions.first.length;
        functions.first.push(symbol);
        if (type !== elf.STT_GNU_IFUNC) known.set(start, stub);
      }
      functions.symbols.push({ symbol, stub });
      continue;
    }
    words[at + 1] = describe(bound, type, other, ANY_SECTION);
    const size = (words[at + 5] as number) * 2 ** 32 + (words[at + 4] as number);
    const limit = load ? load.p_vaddr + load.p_memsz : start;
    const end = Math.max(start + 1, Math.min(start + size, limit));
    const fileEnd = load ? load.p_vaddr + load.p_filesz : start;
    const range = { start, end, contentEnd: Math.max(start, Math.min(end, fileEnd)), at: 0 };
    objects.push({ symbol, start, end, range });
  }
  return { functions, objects };
}

const describe = (binding: number, type: number, other: number, section: number): number =>
  ((binding << 4) | type | (other << 8) | (section << 16)) >>> 0;

/** The segment that contains a vaddr, or that ends there. */
function segmentOf(loads: readonly Phdr[], vaddr: number): Phdr | undefined {
  const at = (isIn: (phdr: Phdr) => boolean) => loads.find((phdr) => vaddr >= phdr.p_vaddr && isIn(phdr));
  return (
    at(({ p_vaddr, p_memsz }) => vaddr < p_vaddr + p_memsz) ?? at(({ p_vaddr, p_memsz }) => vaddr === p_vaddr + p_memsz)
  );
}

/** In bytes. The ABI never asks for more. */
const ALIGNMENT = 64;

/** Groups overlapping objects; `zeroes` are the ranges without bytes in the file. */
function rangesOf(objects: ObjectSymbol[]): { withContent: Range[]; zeroes: Range[] } {
  const ranges: Range[] = [];
  let current: Range | undefined;
  for (const object of [...objects].sort((one, other) => one.start - other.start)) {
    const { range } = object;
    if (current && object.start < current.end) {
      current.end = Math.max(current.end, range.end);
      current.contentEnd = Math.max(current.contentEnd, range.contentEnd);
      object.range = current;
    } else {
      current = range;
      ranges.push(range);
    }
  }
  const hasContent = (range: Range) => range.contentEnd > range.start;
  return { withContent: ranges.filter(hasContent), zeroes: ranges.filter((range) => !hasContent(range)) };
}

/** Places ranges from `start` on. Returns their end. */
function place(ranges: readonly Range[], start: number): number {
  let end = start;
  for (const range of ranges) {
    // one byte more, so that a pointer to an object's end does not point to the next object
    const distance = (((range.start - end) % ALIGNMENT) + ALIGNMENT) % ALIGNMENT;
    range.at = end + distance;
    end = range.at + range.end - range.start + 1;
  }
  return end;
}

function copyContent(source: FileImage, { start, contentEnd, at }: Range, file: Uint8Array): void {
  const view = source.bytes.view(toVaddr(start), contentEnd - start, "data");
  file.set(new Uint8Array(view.buffer, view.byteOffset, view.byteLength), at);
}

function setValue(words: Uint32Array, symbol: number, value: Vaddr | number): void {
  const at = symbol * SYM_WORDS + 2;
  words[at] = value % 2 ** 32;
  words[at + 1] = Math.floor(value / 2 ** 32);
}
