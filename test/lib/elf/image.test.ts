// What a loader reads of an image whose headers and sizes say odd things.

import { afterAll, expect, test } from "bun:test";
import { PT_TLS } from "../../../lib/elf/constants.ts";
import { type FileImage, openImage } from "../../../lib/elf/file.ts";
import { LoadedImage } from "../../../lib/elf/loaded.ts";
import { readPhdrs } from "../../../lib/elf/phdr.ts";
import { toAddress, toOffset } from "../../../lib/memory/numbers.ts";
import { faultOf, viewOf, word, xword } from "./bytes.ts";
import { inMemory } from "./in-memory.ts";
import { Scratch } from "./scratch.ts";
import { smallImage, withDynamic, withoutDynamic } from "./small-image.ts";

const scratch = new Scratch();
afterAll(() => scratch[Symbol.dispose]());
const open = (bytes: Uint8Array): FileImage => openImage(scratch.write("image.so", bytes));
const { at } = smallImage();

test("the last header of a type counts that occupies memory, or else the last", () => {
  const tls = (vaddr: number, memsz: number) => [
    ...[...word(PT_TLS), ...word(4), ...xword(0), ...xword(vaddr), ...xword(vaddr), ...xword(0)],
    ...[...xword(memsz), ...xword(8)],
  ];
  const bias = toAddress(0x10_0000);
  const { image, memory } = inMemory(scratch.write("small.so", smallImage().bytes), bias);
  const found = (...headers: number[][]): number | undefined => {
    const phdrs = [...image.phdrs, ...readPhdrs(viewOf(...headers))];
    return new LoadedImage("small.so", bias, image.ehdr, phdrs, memory).segment(PT_TLS)?.p_vaddr;
  };
  expect(found(tls(1, 8), tls(2, 8))).toBe(2);
  expect(found(tls(1, 8), tls(2, 0))).toBe(1);
  expect(found(tls(1, 0), tls(2, 0))).toBe(2);
  expect(found()).toBeUndefined();
});

test("the string table reaches to the last string that anything refers to, whatever DT_STRSZ says", () => {
  const [DT_STRSZ, DT_RUNPATH] = [10, 29];
  const strings = new TextDecoder("latin1").decode(smallImage().bytes.slice(at("dynstr"), at("versym")));
  const end = strings.indexOf("/opt/run") + "/opt/run".length + 1;
  using byRunpath = open(withDynamic(DT_STRSZ, 1));
  expect(byRunpath.strings.size).toBe(end);
  const bytes = withoutDynamic(DT_RUNPATH);
  const entries = new DataView(bytes.buffer);
  for (let entry = at("dynamic"); entry < at("end"); entry += 16)
    if (entries.getUint32(entry, true) === DT_STRSZ) entries.setUint32(entry + 8, 1, true);
  using bySymbol = open(bytes);
  expect(bySymbol.strings.size).toBe(strings.indexOf("table") + "table".length + 1);
  // the name of the version that it needs
  const [VERNEED, VNA_NAME] = [16, 8];
  bytes.set(word(strings.indexOf("/opt/run")), at("verneed") + VERNEED + VNA_NAME);
  using byVersion = open(bytes);
  expect(byVersion.strings.size).toBe(end);
});

test("a symbol that nobody can look up is counted by the relocation that refers to it", () => {
  const [DT_HASH, DT_GNU_HASH, DT_RELA, DT_JMPREL] = [4, 0x6ffffef5, 7, 23];
  using image = open(withoutDynamic(DT_HASH, DT_GNU_HASH));
  // table, of the second entry of DT_RELA, is the last symbol
  expect(image.symbols.length).toBe(6);
  using other = open(withoutDynamic(DT_HASH, DT_GNU_HASH, DT_RELA));
  // puts, of DT_JMPREL
  expect(other.symbols.length).toBe(2);
  using none = open(withoutDynamic(DT_HASH, DT_GNU_HASH, DT_RELA, DT_JMPREL));
  expect(none.symbols.length).toBe(1);
  // What is not counted can be read, with its version.
  expect([none.symbols.nameOf(none.symbols.at(5)), none.versym?.at(3)]).toEqual(["table", 3]);
  expect(faultOf(() => none.symbols.at(0x10000)).structure).toBe("symbol table");
});

test("an empty DT_GNU_HASH counts the symbols in front of it, if there may be so many", () => {
  const [DT_HASH, DT_RELA, DT_JMPREL] = [4, 7, 23];
  const [SYMOFFSET, BUCKET] = [4, 24];
  const lengths = [4, 0x7fffffff].map((symOffset) => {
    const bytes = withoutDynamic(DT_HASH, DT_RELA, DT_JMPREL);
    bytes.set(word(symOffset), at("gnu-hash") + SYMOFFSET);
    bytes.set(word(0), at("gnu-hash") + BUCKET);
    using image = open(bytes);
    return image.symbols.length;
  });
  expect(lengths).toEqual([4, 1]);
});

test.each([
  [0, [8, 1]],
  [1, [1]],
  [2, []],
  [3, []],
])("relocations to symbols follow the %d relative ones", (count, types) => {
  const DT_RELACOUNT = 0x6ffffff9;
  using image = open(withDynamic(DT_RELACOUNT, count));
  expect([...image.symbolicRela].map(({ r_type }) => r_type)).toEqual(types);
});

test("findAll() has what others may bind to", () => {
  const [DT_GNU_HASH, DT_HASH, SYM_SIZE, ST_INFO] = [0x6ffffef5, 4, 24, 4];
  const names = ["puts", "red", "blue", "table"];
  using found = open(smallImage().bytes);
  expect(names.map((name) => found.findAll(name))).toEqual([[], [2, 3], [4], [5]]);
  // Undefined symbols are in this table: puts behind the last of the chain. blue is local.
  const bytes = withoutDynamic(DT_GNU_HASH);
  bytes.set(word(1), at("hash") + 4 * (3 + 2));
  bytes[at("dynsym") + 4 * SYM_SIZE + ST_INFO] = 0x02;
  using bySysv = open(bytes);
  expect(bySysv.dynamic.get(DT_HASH)).toBeDefined();
  expect(names.map((name) => bySysv.findAll(name))).toEqual([[], [3, 2], [], [5]]);
});

test("the program headers are where the segment with their bytes is", () => {
  const BIAS_OF_DATA = 0x1000;
  const bias = toAddress(0x10_0000);
  const { image, memory } = inMemory(scratch.write("small.so", smallImage().bytes), bias);
  const headersAt = (e_phoff: number): number | undefined =>
    new LoadedImage("small.so", bias, { ...image.ehdr, e_phoff: toOffset(e_phoff) }, [...image.phdrs], memory)
      .headersAt;
  expect([0, at("data") - 8].map(headersAt)).toEqual([0, at("data") - 8]);
  expect([0, 8].map((offset) => headersAt(at("data") + offset))).toEqual(
    [0, 8].map((offset) => at("data") + BIAS_OF_DATA + offset),
  );
  expect(headersAt(at("end"))).toBeUndefined();
});
