// What a loader reads of an image whose headers and sizes say odd things.

import { afterAll, expect, test } from "bun:test";
import { PT_TLS } from "../../../lib/elf/constants.ts";
import { type FileImage, openImage } from "../../../lib/elf/file.ts";
import { LoadedImage } from "../../../lib/elf/loaded.ts";
import { readPhdrs } from "../../../lib/elf/phdr.ts";
import { toAddress } from "../../../lib/memory/numbers.ts";
import { viewOf, word, xword } from "./bytes.ts";
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
});
