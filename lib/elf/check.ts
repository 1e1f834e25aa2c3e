// Whether an image holds together. A loader believes what a file says of itself:
// a table beyond its segment or a hash chain that loops is a crash or a hang of
// the process that opens it. This looks first. Every table is looked at whole, so
// it goes by offsets on plain arrays, not through the structures.

import { alignUp, PAGE_SIZE } from "../memory/numbers.ts";
import {
  DT_FINI,
  DT_FINI_ARRAY,
  DT_FINI_ARRAYSZ,
  DT_INIT,
  DT_INIT_ARRAY,
  DT_INIT_ARRAYSZ,
  DT_JMPREL,
  DT_PLTREL,
  DT_PLTRELSZ,
  DT_PREINIT_ARRAY,
  DT_PREINIT_ARRAYSZ,
  DT_RELA,
  DT_RELAENT,
  DT_RELASZ,
  DT_RELR,
  DT_RELRENT,
  DT_RELRSZ,
  DT_SYMENT,
  PF_X,
  PT_DYNAMIC,
  PT_GNU_RELRO,
  PT_TLS,
  R_X86_64_NONE,
  R_X86_64_RELATIVE,
  SHN_ABS,
  SHN_UNDEF,
  STT_TLS,
  VERSYM_HIDDEN,
} from "./constants.ts";
import { ElfError } from "./error.ts";
import { type FileImage, openImage } from "./file.ts";
import type { Image } from "./image.ts";
import type { Phdr } from "./phdr.ts";
import { Rela } from "./rela.ts";
import { Sym } from "./sym.ts";
import { wordsOf } from "./words.ts";

/** Beyond it there is no user memory. */
const ADDRESS_LIMIT = 2 ** 47;
const WORD = 4;

/**
 * How much is looked at: everything, or all but the single relocations, which take 20 ms in libLLVM (380,000 of them).
 */
export type Check = "whole" | "tables";

/** Throws ElfError for the first thing that does not hold together. */
export function checkImage(image: FileImage, check: Check = "whole"): void {
  checkSegments(image);
  checkDynamic(image);
  checkHash(image);
  checkSymbols(image);
  checkVersions(image);
  if (check === "whole") checkRelocations(image);
}

/** As checkImage, for a file. Throws what open(2) throws too. */
export function checkFile(path: string, check: Check = "whole"): void {
  using image = openImage(path);
  checkImage(image, check);
}

function checkSegments({ path, loads, phdrs, file }: FileImage): void {
  for (const { p_offset, p_vaddr, p_filesz, p_memsz, p_align } of loads) {
    const fault = (text: string) => new ElfError(path, "PT_LOAD", text);
    // nothing of a segment of zeroes alone is in the file, wherever it says that it would be
    if (p_filesz > 0 && !(p_offset + p_filesz <= file.size))
      throw fault(`its ${p_filesz} bytes at offset ${p_offset} reach beyond the end of the file (${file.size} bytes)`);
    if (!(p_vaddr + p_memsz < ADDRESS_LIMIT)) throw fault("it reaches beyond the address space");
    // glibc maps pages, and refuses the second itself
    if (!isPowerOfTwo(p_align || 1) || p_align % PAGE_SIZE !== 0)
      throw fault(`p_align ${p_align} is no alignment of pages`);
    if ((p_vaddr - p_offset) % PAGE_SIZE !== 0) throw fault("p_vaddr and p_offset are not congruent");
  }
  for (const phdr of phdrs) {
    const { p_type, p_offset, p_vaddr, p_filesz, p_memsz, p_align } = phdr;
    if (p_type === PT_TLS && !isPowerOfTwo(p_align || 1))
      throw new ElfError(path, "PT_TLS", `p_align ${p_align} is no power of two`);
    const name = { [PT_DYNAMIC]: "PT_DYNAMIC", [PT_TLS]: "PT_TLS", [PT_GNU_RELRO]: "PT_GNU_RELRO" }[p_type];
    if (name === undefined || (p_type === PT_TLS && p_filesz === 0)) continue;
    const load = holder(loads, p_vaddr, p_type === PT_TLS ? p_filesz : p_memsz);
    // RELRO may end with the page that its segment ends in.
    const isPadded = p_type === PT_GNU_RELRO && p_vaddr + p_memsz <= pageEnd(holder(loads, p_vaddr, 1));
    if (!load && !isPadded) throw new ElfError(path, name, "it is in no segment");
    if (load && p_type === PT_DYNAMIC && p_offset - load.p_offset !== p_vaddr - load.p_vaddr)
      throw new ElfError(path, name, "p_offset and p_vaddr are different places");
    if (p_type === PT_TLS && p_filesz > p_memsz) throw new ElfError(path, name, "p_filesz is larger than p_memsz");
  }
}

/** Where the last page of a segment ends; 0 where there is none. */
function pageEnd(load: Phdr | undefined): number {
  return load ? alignUp(load.p_vaddr + load.p_memsz, PAGE_SIZE) : 0;
}

/** One that a number can hold. */
const isPowerOfTwo = (value: number): boolean => Number.isSafeInteger(value) && Number.isInteger(Math.log2(value));

/** The segment that has these bytes in memory. */
function holder(loads: readonly Phdr[], vaddr: number, length: number): Phdr | undefined {
  return loads.find(({ p_vaddr, p_memsz }) => vaddr >= p_vaddr && vaddr + length <= p_vaddr + p_memsz);
}

function checkDynamic({ path, loads, dynamic, relativeCount }: Image): void {
  const fault = (text: string) => new ElfError(path, "dynamic section", text);
  const expected: [tag: number, value: number, name: string][] = [
    [DT_SYMENT, Sym.size, "DT_SYMENT"],
    [DT_RELAENT, Rela.size, "DT_RELAENT"],
    [DT_RELRENT, 8, "DT_RELRENT"],
    [DT_PLTREL, DT_RELA, "DT_PLTREL"],
  ];
  for (const [tag, value, name] of expected) {
    const found = dynamic.get(tag);
    if (found !== undefined && found !== value) throw fault(`${name} is ${found}, not ${value}`);
  }
  const tables: [tag: number, size: number, entry: number, name: string][] = [
    [DT_RELA, DT_RELASZ, Rela.size, "DT_RELA"],
    [DT_JMPREL, DT_PLTRELSZ, Rela.size, "DT_JMPREL"],
    [DT_RELR, DT_RELRSZ, 8, "DT_RELR"],
    [DT_PREINIT_ARRAY, DT_PREINIT_ARRAYSZ, 8, "DT_PREINIT_ARRAY"],
    [DT_INIT_ARRAY, DT_INIT_ARRAYSZ, 8, "DT_INIT_ARRAY"],
    [DT_FINI_ARRAY, DT_FINI_ARRAYSZ, 8, "DT_FINI_ARRAY"],
  ];
  for (const [tag, sizeTag, entry, name] of tables) {
    const size = dynamic.get(sizeTag) ?? 0;
    const at = dynamic.get(tag);
    if (at === undefined || size === 0) continue;
    if (size % entry !== 0) throw fault(`${name} has ${size} bytes, which is no number of entries`);
    if (!holder(loads, at, size)) throw fault(`${name}, ${size} bytes at vaddr 0x${at.toString(16)}, is in no segment`);
  }
  // ld.so goes by it without a look at the size.
  const count = (dynamic.get(DT_RELASZ) ?? 0) / Rela.size;
  if (relativeCount > count) throw fault(`DT_RELACOUNT is ${relativeCount}, and DT_RELA has ${count} entries`);
  for (const [tag, name] of [
    [DT_INIT, "DT_INIT"],
    [DT_FINI, "DT_FINI"],
  ] as const) {
    const at = dynamic.get(tag);
    if (at !== undefined && ((holder(loads, at, 1)?.p_flags ?? 0) & PF_X) === 0)
      throw fault(`${name}, vaddr 0x${at.toString(16)}, is in no executable segment`);
  }
}

function checkHash(image: Image): void {
  const { path, gnuHash, sysvHash, symbols } = image;
  const count = symbols.length;
  gnuHash?.check(count);
  if (gnuHash && gnuHash.symbolCount > count)
    throw new ElfError(path, "DT_GNU_HASH", `its chains lead to symbol ${gnuHash.symbolCount - 1} of ${count}`);
  if (!sysvHash) return;
  // A symbol is in one chain, once; what is met a second time is a loop, or leads into another chain.
  const { bucketCount, symbolCount } = sysvHash;
  if (bucketCount === 0) throw new ElfError(path, "DT_HASH", "it has no buckets, and a lookup divides by their number");
  const words = wordsOf(sysvHash.view, sysvHash.size);
  const met = new Uint8Array(symbolCount);
  for (let bucket = 0; bucket < bucketCount; bucket++) {
    let index = words[2 + bucket] ?? 0;
    while (index !== 0) {
      if (index >= symbolCount)
        throw new ElfError(path, "DT_HASH", `a chain leads to symbol ${index} of ${symbolCount}`);
      if (met[index]) throw new ElfError(path, "DT_HASH", `the chains of its buckets loop or meet, at symbol ${index}`);
      met[index] = 1;
      index = words[2 + bucketCount + index] ?? 0;
    }
  }
}

function checkSymbols(image: Image): void {
  const { path, loads, strings } = image;
  const { view } = image.symbols;
  const words = wordsOf(view, view.byteLength);
  const tlsSize = image.tls?.p_memsz ?? 0;
  const end = image.end;
  for (let i = 0, at = 0; at + 6 <= words.length; i++, at += Sym.size / WORD) {
    const name = words[at] as number;
    if (name >= strings.size && strings.size > 0)
      throw new ElfError(path, "symbol table", `the name of symbol ${i} is beyond the string table`);
    const info = words[at + 1] as number;
    const section = info >>> 16;
    if (section === SHN_UNDEF || section === SHN_ABS) continue;
    const value = (words[at + 3] as number) * 2 ** 32 + (words[at + 2] as number);
    const limit = (info & 15) === STT_TLS ? tlsSize : end;
    // A symbol may mark the end of what it is in (_end).
    if (value > limit) throw new ElfError(path, "symbol table", `symbol ${i} is beyond the image`);
  }
  if (strings.size > 0 && loads.length > 0) strings.check();
}

function checkVersions(image: Image): void {
  const { path, versym, verdefs, verneeds } = image;
  if (!versym) return;
  let last = 1;
  for (const { index } of [...verdefs, ...verneeds]) last = Math.max(last, index);
  const { view } = versym;
  const indexes = new Uint16Array(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
  const symbol = indexes.findIndex((index) => (index & ~VERSYM_HIDDEN) > last);
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
    // r_offset (2) | r_type | r_sym | r_addend (2). The segment of the entry before is tried first.
    let start = 1;
    let end = 0;
    for (let at = 0, i = 0; at + 6 <= words.length; at += RELA_WORDS, i++) {
      const place =
        words[at + 1] === 0 ? (words[at] as number) : (words[at + 1] as number) * 2 ** 32 + (words[at] as number);
      if (place < start || place > end) {
        if (words[at + 2] === R_X86_64_NONE) continue;
        // 4 bytes are enough for the 32-bit types, at the end of a segment
        const load = holder(loads, place, 4);
        if (!load)
          throw new ElfError(path, name, `entry ${i} relocates vaddr 0x${place.toString(16)}, which is in no segment`);
        start = load.p_vaddr;
        end = load.p_vaddr + load.p_memsz - 8;
      }
      // ld.so asserts it
      if (i < relative && words[at + 2] !== R_X86_64_RELATIVE)
        throw new ElfError(
          path,
          name,
          `entry ${i} has type ${words[at + 2]}, and DT_RELACOUNT says that it is relative`,
        );
      if (i >= relative && (words[at + 3] as number) >= count)
        throw new ElfError(path, name, `entry ${i} refers to symbol ${words[at + 3]} of ${count}`);
    }
  }
  for (const slot of image.relr)
    if (!holder(loads, slot, 8)) throw new ElfError(path, "DT_RELR", `vaddr 0x${slot.toString(16)} is in no segment`);
}

const RELA_WORDS = Rela.size / WORD;
