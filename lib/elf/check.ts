// Checks that an image is consistent. A loader trusts what a file says about itself: a table beyond its segment or a
// hash chain that loops crashes or hangs the process that opens it. These checks run first. Every table is checked in
// full, so they use offsets into plain arrays, not the structures.

import { add, alignDown, alignUp, isPowerOfTwo, PAGE_SIZE } from "../memory/numbers.ts";
import * as elf from "./constants.ts";
import { ElfError } from "./error.ts";
import { type FileImage, openImage } from "./file.ts";
import type { Image } from "./image.ts";
import { type PageRange, type Phdr, pagesOf, segmentAt } from "./phdr.ts";
import { Rela } from "./rela.ts";
import { bindingOf, Sym } from "./sym.ts";
import { wordsOf } from "./words.ts";

/** User memory ends here. */
const ADDRESS_LIMIT = 2 ** 47;
const WORD = 4;
const WORD64 = 8;

/**
 * How much is checked: everything, or all but the individual relocations, which take 20 ms in libLLVM (380,000 of
 * them).
 */
export type Check = "whole" | "tables";

/** Throws ElfError for the first inconsistency. */
export function checkImage(image: FileImage, check: Check = "whole"): void {
  checkSegments(image);
  checkDynamic(image);
  checkHash(image);
  checkSymbols(image);
  checkVersions(image);
  if (check === "whole") checkRelocations(image);
}

/** checkImage for a file. Also throws what open(2) throws. */
export function checkFile(path: string, check: Check = "whole"): void {
  using image = openImage(path);
  checkImage(image, check);
}

function checkSegments({ path, loads, phdrs, file }: FileImage): void {
  for (const { p_offset, p_vaddr, p_filesz, p_memsz, p_align } of loads) {
    const fault = (text: string) => new ElfError(path, "PT_LOAD", text);
    // A segment with no file bytes may give any offset. After the end of the file there are zeroes up to the end of its
    // last page, and SIGBUS beyond that.
    if (p_filesz > 0 && !(p_offset + p_filesz <= alignUp(file.size, PAGE_SIZE)))
      throw fault(`its ${p_filesz} bytes at offset ${p_offset} reach beyond the end of the file (${file.size} bytes)`);
    if (!(p_vaddr + p_memsz < ADDRESS_LIMIT)) throw fault("it reaches beyond the address space");
    // glibc 2.36 and newer ignore an alignment that is not a power of two; 2.31 rejects it itself
    if (isPowerOfTwo(p_align) && p_align >= ADDRESS_LIMIT) throw fault("p_align is larger than the address space");
    // glibc maps whole pages, and rejects this itself
    if ((p_vaddr - p_offset) % PAGE_SIZE !== 0) throw fault("p_vaddr and p_offset are not congruent");
  }
  for (const { p_type, p_vaddr, p_filesz, p_memsz, p_align } of phdrs) {
    if (p_type !== elf.PT_TLS || p_memsz === 0) continue;
    const fault = (text: string) => new ElfError(path, "PT_TLS", text);
    if (!(p_align < ADDRESS_LIMIT)) throw fault("p_align is larger than the address space");
    if (p_filesz > 0 && !segmentAt(loads, p_vaddr, p_filesz)) throw fault("it is in no segment");
    if (p_filesz > p_memsz) throw fault("p_filesz is larger than p_memsz");
  }
  const relro = phdrs.findLast(({ p_type }) => p_type === elf.PT_GNU_RELRO);
  if (relro && relro.p_memsz > 0 && !isMapped(loads, wholePages(relro)))
    throw new ElfError(path, "PT_GNU_RELRO", "its pages are not in the image");
}

/** The pages that become read-only: both ends are rounded down. */
function wholePages({ p_vaddr, p_memsz }: Phdr): PageRange {
  return { start: alignDown(p_vaddr, PAGE_SIZE), end: alignDown(add(p_vaddr, p_memsz), PAGE_SIZE) };
}

/**
 * Is the range empty, or between the first segment's first page and the last one's last? All of that is mapped somehow.
 */
function isMapped(loads: readonly Phdr[], { start, end }: PageRange): boolean {
  const [first, last] = [loads[0], loads.at(-1)];
  return start === end || (!!first && !!last && start >= pagesOf(first).start && end <= pagesOf(last).end);
}

function checkDynamic({ path, loads, dynamic, relativeCount }: Image): void {
  const fault = (text: string) => new ElfError(path, "dynamic section", text);
  // ld.so asserts these for tables that are present (RELRENT since 2.36).
  const expected: [tag: number, of: number, value: number, name: string][] = [
    [elf.DT_RELAENT, elf.DT_RELA, Rela.size, "DT_RELAENT"],
    [elf.DT_RELRENT, elf.DT_RELR, 8, "DT_RELRENT"],
    [elf.DT_PLTREL, elf.DT_PLTREL, elf.DT_RELA, "DT_PLTREL"],
  ];
  for (const [tag, of, value, name] of expected) {
    const found = dynamic.get(tag);
    if (found !== undefined && found !== value && dynamic.get(of) !== undefined)
      throw fault(`${name} is ${found}, not ${value}`);
  }
  // ld.so processes a partial last entry of a relocation table, but does not call one of a function array.
  const tables: [tag: number, size: number, round: (size: number) => number, name: string][] = [
    [elf.DT_RELA, elf.DT_RELASZ, (size) => alignUp(size, Rela.size), "DT_RELA"],
    [elf.DT_JMPREL, elf.DT_PLTRELSZ, (size) => alignUp(size, Rela.size), "DT_JMPREL"],
    [elf.DT_RELR, elf.DT_RELRSZ, (size) => alignUp(size, WORD64), "DT_RELR"],
    [elf.DT_PREINIT_ARRAY, elf.DT_PREINIT_ARRAYSZ, (size) => alignDown(size, WORD64), "DT_PREINIT_ARRAY"],
    [elf.DT_INIT_ARRAY, elf.DT_INIT_ARRAYSZ, (size) => alignDown(size, WORD64), "DT_INIT_ARRAY"],
    [elf.DT_FINI_ARRAY, elf.DT_FINI_ARRAYSZ, (size) => alignDown(size, WORD64), "DT_FINI_ARRAY"],
  ];
  for (const [tag, sizeTag, round, name] of tables) {
    const size = round(dynamic.get(sizeTag) ?? 0);
    const at = dynamic.get(tag);
    if (at === undefined || size === 0) continue;
    if (!segmentAt(loads, at, size))
      throw fault(`${name}, ${size} bytes at vaddr 0x${at.toString(16)}, is in no segment`);
  }
  // ld.so trusts it without checking the size.
  const count = (dynamic.get(elf.DT_RELASZ) ?? 0) / Rela.size;
  if (relativeCount > count && dynamic.get(elf.DT_RELA) !== undefined)
    throw fault(`DT_RELACOUNT is ${relativeCount}, and DT_RELA has ${count} entries`);
  for (const [tag, name] of [
    [elf.DT_INIT, "DT_INIT"],
    [elf.DT_FINI, "DT_FINI"],
  ] as const) {
    const at = dynamic.get(tag);
    if (at !== undefined && ((segmentAt(loads, at)?.p_flags ?? 0) & elf.PF_X) === 0)
      throw fault(`${name}, vaddr 0x${at.toString(16)}, is in no executable segment`);
  }
}

/** With two hash tables, ld.so reads only DT_GNU_HASH. */
function checkHash({ gnuHash, sysvHash, symbols }: Image): void {
  if (gnuHash) gnuHash.check(symbols.length);
  // Counting the symbols throws for a chain that loops.
  else void sysvHash?.symbolCount;
}

function checkSymbols(image: Image): void {
  const { path, strings } = image;
  const { view } = image.symbols;
  const words = wordsOf(view, view.byteLength);
  const tlsSize = image.tls?.p_memsz ?? 0;
  const end = image.end;
  for (let i = 0, at = 0; at + 6 <= words.length; i++, at += Sym.size / WORD) {
    const info = words[at + 1] as number;
    // Local symbols are never looked up.
    if (((info >>> 4) & 15) === elf.STB_LOCAL) continue;
    if ((words[at] as number) >= strings.room)
      throw new ElfError(path, "symbol table", `the name of symbol ${i} is beyond the string table`);
    const section = info >>> 16;
    if (section === elf.SHN_UNDEF || section === elf.SHN_ABS) continue;
    const value = (words[at + 3] as number) * 2 ** 32 + (words[at + 2] as number);
    const type = info & 15;
    if (type === elf.STT_TLS && tlsSize === 0)
      throw new ElfError(path, "symbol table", `symbol ${i} is thread-local, and there is no such data (PT_TLS)`);
    const limit = type === elf.STT_TLS ? tlsSize : end;
    // A symbol may mark the end of what contains it (_end), or lie anywhere if it is only a mark (--defsym).
    if (
      (value > limit || (type === elf.STT_TLS && tlsSize === 0)) &&
      (type !== elf.STT_NOTYPE || words[at + 4] !== 0 || words[at + 5] !== 0)
    )
      throw new ElfError(path, "symbol table", `symbol ${i} is beyond the image`);
  }
  // If the last referenced string has an end, all have one.
  void strings.size;
}

function checkVersions(image: Image): void {
  const { path, versym, verdefs, verneeds, symbols } = image;
  if (!versym) return;
  let last = 1;
  for (const { index } of [...verdefs, ...verneeds]) last = Math.max(last, index);
  const { view } = versym;
  const indexes = new Uint16Array(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
  const symbol = indexes.findIndex(
    (index, i) => (index & ~elf.VERSYM_HIDDEN) > last && bindingOf(symbols.at(i)) !== elf.STB_LOCAL,
  );
  if (symbol >= 0)
    throw new ElfError(path, "version table", `symbol ${symbol} has version ${indexes[symbol]}, and there are ${last}`);
}

function checkRelocations(image: Image): void {
  const { path, loads, rela, jmprel, symbols, relativeCount } = image;
  const count = Math.max(symbols.length, 1);
  for (const [name, { view }, relative] of [
    ["DT_RELA", rela, relativeCount],
    ["DT_JMPREL", jmprel, 0],
  ] as const) {
    const words = wordsOf(view, view.byteLength);
    // r_offset (2) | r_type | r_sym | r_addend (2). The previous entry's segment is tried first.
    let start = 1;
    let end = 0;
    for (let at = 0, i = 0; at + 6 <= words.length; at += RELA_WORDS, i++) {
      const place =
        words[at + 1] === 0 ? (words[at] as number) : (words[at + 1] as number) * 2 ** 32 + (words[at] as number);
      if (place < start || place > end) {
        if (words[at + 2] === elf.R_X86_64_NONE) continue;
        // 32-bit types need only 4 bytes, at the end of a segment
        const load = segmentAt(loads, place, 4);
        if (!load)
          throw new ElfError(path, name, `entry ${i} relocates vaddr 0x${place.toString(16)}, which is in no segment`);
        const pages = pagesOf(load);
        start = place < load.p_vaddr ? pages.start : load.p_vaddr;
        end = Math.min(pages.end, place < load.p_vaddr + load.p_memsz ? load.p_vaddr + load.p_memsz : pages.end) - 8;
      }
      // ld.so asserts this
      if (i < relative && words[at + 2] !== elf.R_X86_64_RELATIVE)
        throw new ElfError(
          path,
          name,
          `entry ${i} has type ${words[at + 2]}, and DT_RELACOUNT says that it is relative`,
        );
      if (i >= relative && (words[at + 3] as number) >= count) checkReference(image, name, i, words[at + 3] as number);
    }
  }
  for (const slot of image.relr)
    if (!segmentAt(loads, slot, 8))
      throw new ElfError(path, "DT_RELR", `vaddr 0x${slot.toString(16)} is in no segment`);
}

/** Checks that the symbol exists: hash tables need not cover symbols that are only referenced. */
function checkReference({ path, symbols, strings }: Image, table: string, entry: number, symbol: number): void {
  try {
    if (symbols.at(symbol).st_name < strings.room) return;
  } catch (error) {
    if (!(error instanceof ElfError)) throw error;
  }
  throw new ElfError(path, table, `entry ${entry} refers to symbol ${symbol} of ${symbols.length}`);
}

const RELA_WORDS = Rela.size / WORD;
