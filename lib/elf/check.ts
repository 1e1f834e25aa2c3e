// Checks that an image is consistent. A loader trusts what a file says about itself: a table beyond its segment or a
// hash chain that loops crashes or hangs the process that opens it. These checks run first. Every table is checked in
// full, so they use offsets into plain arrays, not the structures.

import { alignDown, alignUp } from "../memory/numbers.ts";
import { checkRelocations } from "./check-relocations.ts";
import { checkSegments } from "./check-segments.ts";
import * as elf from "./constants.ts";
import { ElfError } from "./error.ts";
import { type FileImage, openImage } from "./file.ts";
import type { Image } from "./image.ts";
import { segmentAt } from "./phdr.ts";
import { Rela } from "./rela.ts";
import { isCallable } from "./relro.ts";
import { bindingOf, Sym } from "./sym.ts";
import { isBoundNow } from "./undefined.ts";
import { lastVersion } from "./versions.ts";
import { wordsOf } from "./words.ts";
import { Writable } from "./writable.ts";

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

/** An entry of the dynamic section, and others that ld.so reads then without asking whether they are there. */
type Together = readonly [
  tag: number,
  name: string,
  ...others: (readonly [tag: number, name: string, value?: number])[],
];
const TOGETHER: readonly Together[] = [
  [elf.DT_RELA, "DT_RELA", [elf.DT_RELASZ, "DT_RELASZ"], [elf.DT_RELAENT, "DT_RELAENT", Rela.size]],
  [elf.DT_RELR, "DT_RELR", [elf.DT_RELRSZ, "DT_RELRSZ"], [elf.DT_RELRENT, "DT_RELRENT", WORD64]],
  [
    elf.DT_PLTREL,
    "DT_PLTREL",
    [elf.DT_PLTREL, "DT_PLTREL", elf.DT_RELA],
    [elf.DT_JMPREL, "DT_JMPREL"],
    [elf.DT_PLTRELSZ, "DT_PLTRELSZ"],
  ],
  [elf.DT_INIT_ARRAY, "DT_INIT_ARRAY", [elf.DT_INIT_ARRAYSZ, "DT_INIT_ARRAYSZ"]],
  [elf.DT_FINI_ARRAY, "DT_FINI_ARRAY", [elf.DT_FINI_ARRAYSZ, "DT_FINI_ARRAYSZ"]],
];

function checkDynamic(image: Image): void {
  const { path, loads, dynamic, relativeCount } = image;
  const fault = (text: string) => new ElfError(path, "dynamic section", text);
  // Some values are asserted.
  for (const [tag, name, ...others] of TOGETHER) {
    if (dynamic.get(tag) === undefined) continue;
    for (const [other, otherName, value] of others) {
      const found = dynamic.get(other);
      if (found === undefined) throw fault(`it has ${name}, and no ${otherName}`);
      if (value !== undefined && found !== value) throw fault(`${otherName} is ${found}, not ${value}`);
    }
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
    if (at !== undefined && !isCallable(image, at))
      throw fault(`${name}, vaddr 0x${at.toString(16)}, is in no executable segment`);
  }
  // The name of the program itself: ld.so takes it for a filtee, and fails an assertion when the file is closed.
  if (image.filtees.some(({ name }) => name === "")) throw fault("it is a filter of nothing");
  checkLazyBinding(image);
}

/** Binding lazily, ld.so fills in the second and third entry of the global offset table. */
function checkLazyBinding(image: Image): void {
  const { path, dynamic } = image;
  if (dynamic.get(elf.DT_JMPREL) === undefined || isBoundNow(image)) return;
  const got = dynamic.get(elf.DT_PLTGOT);
  if (got === undefined || !new Writable(image).around(got + WORD64, 2 * WORD64))
    throw new ElfError(path, "dynamic section", "DT_JMPREL is bound lazily, and DT_PLTGOT is in no writable segment");
}

/** With two hash tables, ld.so reads only DT_GNU_HASH. */
function checkHash({ gnuHash, sysvHash, symbols }: Image): void {
  if (gnuHash) gnuHash.check(symbols.length);
  // Counting the symbols throws for a chain that loops.
  else void sysvHash?.symbolCount;
}

function checkSymbols(image: Image): void {
  const { path, strings, gnuHash, end } = image;
  const { view } = image.symbols;
  const words = wordsOf(view, view.byteLength);
  const tlsSize = image.tls?.p_memsz ?? 0;
  const isMet = (symbol: number) =>
    gnuHash ? symbol >= gnuHash.symOffset : image.sysvHash?.members.has(symbol) === true;
  for (let i = 0, at = 0; at + 6 <= words.length; i++, at += Sym.size / WORD) {
    const info = words[at + 1] as number;
    const [type, section] = [info & 15, info >>> 16];
    const value = (words[at + 3] as number) * 2 ** 32 + (words[at + 2] as number);
    // ld.so calls the symbol to get the function's address. An absolute one is in another object (a mirror's).
    const isCode = () => (section === elf.SHN_ABS ? value > end : isCallable(image, value));
    if (type === elf.STT_GNU_IFUNC && section !== elf.SHN_UNDEF && !isCode())
      throw new ElfError(path, "symbol table", `symbol ${i} is to be called (IFUNC), and is in no executable segment`);
    const isLocal = ((info >>> 4) & 15) === elf.STB_LOCAL;
    // Nobody looks it up, unless it is in the hash table: ld.so compares names first.
    if (isLocal && (i === 0 || !isMet(i))) continue;
    if ((words[at] as number) >= strings.room)
      throw new ElfError(path, "symbol table", `the name of symbol ${i} is beyond the string table`);
    if (section === elf.SHN_UNDEF || section === elf.SHN_ABS) continue;
    if (type === elf.STT_TLS && tlsSize === 0)
      throw new ElfError(path, "symbol table", `symbol ${i} is thread-local, and there is no such data (PT_TLS)`);
    const limit = type === elf.STT_TLS ? tlsSize : end;
    // A symbol may mark the end of what contains it (_end), or lie anywhere if it is only a mark (--defsym).
    if (value > limit && (type !== elf.STT_NOTYPE || words[at + 4] !== 0 || words[at + 5] !== 0))
      throw new ElfError(path, "symbol table", `symbol ${i} is beyond the image`);
  }
  // If the last referenced string has an end, all have one.
  void strings.size;
}

function checkVersions(image: Image): void {
  const { path, versym, symbols } = image;
  const last = lastVersion(image);
  if (!versym) {
    if (last > 0) throw new ElfError(path, "version table", `there are ${last} versions, and no DT_VERSYM`);
    return;
  }
  // Without versions, ld.so has no list for the symbols that relocations refer to.
  const most = last > 0 || !hasReferences(image) ? Math.max(1, last) : 0;
  const { view } = versym;
  const indexes = new Uint16Array(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
  const symbol = indexes.findIndex(
    (index, i) => (index & ~elf.VERSYM_HIDDEN) > most && bindingOf(symbols.at(i)) !== elf.STB_LOCAL,
  );
  if (symbol >= 0)
    throw new ElfError(path, "version table", `symbol ${symbol} has version ${indexes[symbol]}, and there are ${most}`);
}

/** Does a relocation refer to a symbol? */
const hasReferences = ({ symbolicRela, jmprel }: Image): boolean => symbolicRela.length + jmprel.length > 0;
