// Where relocations may write, what each type may refer to, and what function arrays hold after them. That ld.so dies of
// these is tested in killers.spawns.test.ts.

import { afterAll, describe, expect, test } from "bun:test";
import { checkFile } from "../../../lib/elf/check.ts";
import * as elf from "../../../lib/elf/constants.ts";
import { ElfError } from "../../../lib/elf/error.ts";
import { half, word, xword } from "./bytes.ts";
import { Scratch } from "./scratch.ts";
import { smallImage, withoutDynamic } from "./small-image.ts";

const scratch = new Scratch();
afterAll(() => scratch[Symbol.dispose]());

const { bytes: SOUND, at } = smallImage();
const BIAS_OF_DATA = 0x1000;
const DATA = at("data") + BIAS_OF_DATA;
/** Nothing may be written from here on: ld.so still reads it. */
const DYNAMIC = at("dynamic") + BIAS_OF_DATA;
const FAR = 0x7fff_ffff_f000;
const [PUTS, RED, BLUE, TABLE] = [1, 2, 4, 5];
const NONE = 9999;

type Change = (bytes: Uint8Array) => void;

const relocation =
  (offset: number) =>
  (place: number, type: number, symbol = 0, addend = 0): Change =>
  (bytes) =>
    bytes.set([...xword(place), ...word(type), ...word(symbol), ...xword(addend)], offset);
/** DT_RELA has a relative one first, by DT_RELACOUNT. */
const first = relocation(at("rela"));
const second = relocation(at("rela") + 24);
const plt = relocation(at("jmprel"));

/** Another type, binding, section, value or size for a symbol. */
const symbol =
  (index: number, info: number, section: number, value: number, size = 8): Change =>
  (bytes) =>
    bytes.set([info, 0, ...half(section), ...xword(value), ...xword(size)], at("dynsym") + 24 * index + 4);
const [GLOBAL_FUNC, GLOBAL_NOTYPE, GLOBAL_TLS, GLOBAL_IFUNC] = [0x12, 0x10, 0x16, 0x1a];
const [LOCAL_NOTYPE, WEAK_FUNC] = [0x00, 0x22];

const withCode: Change = (bytes) => bytes.set(word(elf.PF_R | elf.PF_X), at("phdrs") + 4);
const CODE = 0x10;
/** The notes become thread-local data. */
const withTls: Change = (bytes) => bytes.set(word(elf.PT_TLS), at("phdrs") + 3 * 56);
const isFixed: Change = (bytes) => bytes.set(half(elf.ET_EXEC), 16);
const content =
  (vaddr: number, value: number): Change =>
  (bytes) =>
    bytes.set(xword(value), vaddr - BIAS_OF_DATA);

/** What is wrong with the image after these changes. */
function faultOf(...changes: Change[]): string {
  const bytes = SOUND.slice();
  for (const change of changes) change(bytes);
  const path = scratch.write("changed.so", bytes);
  try {
    checkFile(path);
    return "sound";
  } catch (error) {
    if (error instanceof ElfError) return `${error.structure}: ${error.fault}`;
    throw error;
  }
}

type Case = readonly [words: string, expected: string, ...changes: Change[]];

describe("a relocation's place", () => {
  const away = (place: number, entry = 1) =>
    `DT_RELA: entry ${entry} relocates vaddr 0x${place.toString(16)}, which is in no writable segment`;
  const packed = (place: number) => `DT_RELR: vaddr 0x${place.toString(16)} is in no writable segment`;
  const relr =
    (place: number, following: number): Change =>
    (bytes) =>
      bytes.set([...xword(place), ...xword(following)], at("relr"));
  test.each<Case>([
    ["may be the last before what ld.so reads", "sound", second(DYNAMIC - 8, elf.R_X86_64_64, TABLE)],
    ["may not reach into that", away(DYNAMIC - 7), second(DYNAMIC - 7, elf.R_X86_64_64, TABLE)],
    ["may be the first of its page", "sound", second(DATA & ~0xfff, elf.R_X86_64_64, TABLE)],
    ["may not be before it", away((DATA & ~0xfff) - 1), second((DATA & ~0xfff) - 1, elf.R_X86_64_64, TABLE)],
    ["may not be far away", away(FAR), second(FAR, elf.R_X86_64_64, TABLE)],
    ["may not be far away: a relative one", away(FAR, 0), first(FAR, elf.R_X86_64_RELATIVE)],
    ["counts in DT_JMPREL, too", away(FAR, 0).replace("RELA", "JMPREL"), plt(FAR, elf.R_X86_64_JUMP_SLOT, PUTS)],
    ["has four bytes for some types", "sound", second(DYNAMIC - 4, elf.R_X86_64_PC32, TABLE)],
    ["has four bytes for some types: a size", "sound", second(DYNAMIC - 4, elf.R_X86_64_SIZE32, TABLE)],
    ["has eight for others", away(DYNAMIC - 4), second(DYNAMIC - 4, elf.R_X86_64_SIZE64, TABLE)],
    ["has a symbol's size for COPY", "sound", second(DYNAMIC - 16, elf.R_X86_64_COPY, TABLE)],
    ["has no more than that", away(DYNAMIC - 8), second(DYNAMIC - 8, elf.R_X86_64_COPY, TABLE)],
    ["has two words for TLSDESC", away(DYNAMIC - 8), withTls, second(DYNAMIC - 8, elf.R_X86_64_TLSDESC)],
    ["has no other two words for TLSDESC", "sound", withTls, second(DYNAMIC - 16, elf.R_X86_64_TLSDESC)],
    ["counts when packed, each", packed(DYNAMIC), relr(DYNAMIC - 8, 0b11)],
    ["may be packed to the last", "sound", relr(DYNAMIC - 16, 0b11)],
    ["is nowhere for NONE", "sound", second(FAR, elf.R_X86_64_NONE)],
  ])("%s", (_, expected, ...changes) => expect(faultOf(...changes)).toBe(expected));
});

describe("a relocation's symbol", () => {
  const missing = `DT_RELA: entry 1 refers to symbol ${NONE} of 6`;
  const WEAK = "DT_RELA: entry 1 wants the size of a weak symbol";
  const COPIED = "DT_RELA: entry 1 copies what is in no segment";
  test.each<Case>([
    ["has to be there", missing, second(DATA, elf.R_X86_64_64, NONE)],
    ["has to be there where there are versions, even for NONE", missing, second(DATA, elf.R_X86_64_NONE, NONE)],
    ["may be missing behind the relative ones only", "sound", first(DATA, elf.R_X86_64_RELATIVE, NONE)],
    ["may be of any size", "sound", second(DATA, elf.R_X86_64_SIZE64, BLUE)],
    ["may be undefined for a size", "sound", second(DATA, elf.R_X86_64_SIZE64, PUTS)],
    ["may not be weak as well", WEAK, symbol(BLUE, WEAK_FUNC, 0, CODE), second(DATA, elf.R_X86_64_SIZE64, BLUE)],
    ["may not be weak, of value 0", WEAK, symbol(BLUE, WEAK_FUNC, 1, 0), second(DATA, elf.R_X86_64_SIZE32, BLUE)],
    ["is copied from a segment", COPIED, symbol(BLUE, 0x11, elf.SHN_ABS, FAR), second(DATA, elf.R_X86_64_COPY, BLUE)],
    [
      "is copied if it has a size",
      "sound",
      symbol(BLUE, 0x11, elf.SHN_ABS, FAR, 0),
      second(DATA, elf.R_X86_64_COPY, BLUE),
    ],
    ["is copied from another object", "sound", symbol(PUTS, 0x11, 0, FAR), second(DATA, elf.R_X86_64_COPY, PUTS)],
    [
      "is not copied if it is an IFUNC",
      COPIED,
      withCode,
      symbol(BLUE, GLOBAL_IFUNC, 1, CODE),
      second(DATA, elf.R_X86_64_COPY, BLUE),
    ],
  ])("%s", (_, expected, ...changes) => expect(faultOf(...changes)).toBe(expected));

  test("may be missing without versions, where ld.so does not look", () => {
    const changes = (...more: Change[]) => [
      (bytes: Uint8Array) => bytes.set(withoutDynamic(elf.DT_VERSYM, elf.DT_VERDEF, elf.DT_VERNEED)),
      ...more,
    ];
    expect(faultOf(...changes(second(DATA, elf.R_X86_64_NONE, NONE)))).toBe("sound");
    expect(faultOf(...changes(second(DATA, elf.R_X86_64_64, NONE)))).toBe(missing);
  });

  test("may be one that no hash table covers, with a name and a version", () => {
    const table = second(DATA, elf.R_X86_64_64, TABLE);
    const uncovered = (...more: Change[]): string => {
      const covering: Change = (bytes) => {
        bytes.set(withoutDynamic(elf.DT_HASH));
        const [CHAINS, LAST] = [28, 1];
        bytes[at("gnu-hash") + CHAINS + 4 * LAST] = 0x41;
      };
      return faultOf(covering, table, ...more);
    };
    const version =
      (index: number): Change =>
      (bytes) =>
        bytes.set(half(index), at("versym") + 2 * TABLE);
    const name =
      (offset: number): Change =>
      (bytes) =>
        bytes.set(word(offset), at("dynsym") + 24 * TABLE);
    const fault = "DT_RELA: entry 1 refers to symbol 5 of 4";
    expect([uncovered(), uncovered(version(4)), uncovered(version(5))]).toEqual(["sound", "sound", fault]);
    expect(uncovered(name(0x7fff_ffff))).toBe(fault);
  });

  test("is none in a relative one, which DT_RELACOUNT counts", () => {
    const wrong = "DT_RELA: entry 0 has type 1, and DT_RELACOUNT says that it is relative";
    expect(faultOf(first(DATA, elf.R_X86_64_64, TABLE))).toBe(wrong);
  });
});

describe("a thread-local relocation", () => {
  const BLOCK = "DT_RELA: entry 1 is for thread-local data, which has no PT_TLS";
  const OTHER = "DT_RELA: entry 1 is for thread-local data, and symbol 1 is not";
  for (const type of [elf.R_X86_64_TPOFF64, elf.R_X86_64_TLSDESC])
    test.each<Case>([
      ["without a symbol needs a block", BLOCK, second(DATA, type)],
      ["without a symbol has one", "sound", withTls, second(DATA, type)],
      ["of its own symbol needs a block", BLOCK, symbol(BLUE, LOCAL_NOTYPE, 1, 0), second(DATA, type, BLUE)],
      ["of a local symbol, too", BLOCK, symbol(BLUE, LOCAL_NOTYPE, 0, 0), second(DATA, type, BLUE)],
      ["without a symbol, whatever the null symbol says", BLOCK, symbol(0, GLOBAL_TLS, 0, 0), second(DATA, type)],
      ["of its own symbol has one", "sound", withTls, symbol(BLUE, LOCAL_NOTYPE, 1, 0), second(DATA, type, BLUE)],
      ["of another object's needs none", "sound", symbol(PUTS, GLOBAL_TLS, 0, 0), second(DATA, type, PUTS)],
      ["needs a symbol of that kind", OTHER, second(DATA, type, PUTS)],
    ])(`${type} %s`, (_, expected, ...changes) => expect(faultOf(...changes)).toBe(expected));
});

describe("a function that ld.so calls to relocate", () => {
  const CALLED = "DT_RELA: entry 1 calls what is in no executable segment";
  test.each<Case>([
    ["has to be code", "sound", withCode, second(DATA, elf.R_X86_64_IRELATIVE, 0, CODE)],
    ["is not data", CALLED, withCode, second(DATA, elf.R_X86_64_IRELATIVE, 0, DATA)],
    ["is nothing that may not be executed", CALLED, second(DATA, elf.R_X86_64_IRELATIVE, 0, CODE)],
  ])("%s", (_, expected, ...changes) => expect(faultOf(...changes)).toBe(expected));
});

describe("a function array", () => {
  /** Two entries in place of two that no loader reads. */
  const arrayOf =
    (tag: number, sizeTag: number, ...unread: readonly number[]) =>
    (place: number, size: number): Change =>
    (bytes) => {
      const view = new DataView(bytes.buffer);
      for (let entry = at("dynamic"); entry < at("end"); entry += 16) {
        const which = unread.indexOf(view.getUint32(entry, true));
        if (which === 0) bytes.set([...xword(tag), ...xword(place)], entry);
        if (which === 1) bytes.set([...xword(sizeTag), ...xword(size)], entry);
      }
    };
  const array = arrayOf(elf.DT_INIT_ARRAY, elf.DT_INIT_ARRAYSZ, elf.DT_RUNPATH, elf.DT_FLAGS_1);
  const fini = arrayOf(elf.DT_FINI_ARRAY, elf.DT_FINI_ARRAYSZ, elf.DT_VERDEFNUM, elf.DT_VERNEEDNUM);
  const wrong = (entry: number) => `DT_INIT_ARRAY: entry ${entry} leads to no executable segment`;
  const code = first(DATA, elf.R_X86_64_RELATIVE, 0, CODE);
  const one = [withCode, array(DATA, 8)] as const;
  const two = [withCode, array(DATA, 16), code] as const;
  const UNDEFINED = symbol(PUTS, GLOBAL_NOTYPE, 0, 0);
  const ABSOLUTE = (value: number) => symbol(BLUE, GLOBAL_FUNC, elf.SHN_ABS, value);

  test.each<Case>([
    ["leads to code", "sound", ...two, second(DATA + 8, elf.R_X86_64_RELATIVE, 0, CODE)],
    ["leads to no data", wrong(1), ...two, second(DATA + 8, elf.R_X86_64_RELATIVE, 0, DATA)],
    ["leads to code from its first entry on", wrong(0), ...one, first(DATA, elf.R_X86_64_RELATIVE, 0, DATA)],
    ["has only whole entries", "sound", withCode, array(DATA, 15), code, second(DATA + 8, elf.R_X86_64_64, TABLE)],
    ["is relocated everywhere", wrong(1), ...two, second(DATA + 16, elf.R_X86_64_RELATIVE, 0, CODE)],
    ["is not overwritten in between", wrong(0), ...two, second(DATA + 1, elf.R_X86_64_RELATIVE, 0, CODE)],
    [
      "is not overwritten in between: at its end",
      wrong(0),
      ...one,
      code,
      second(DATA + 7, elf.R_X86_64_RELATIVE, 0, CODE),
    ],
    [
      "is not overwritten in between: before it",
      wrong(0),
      ...one,
      code,
      second(DATA - 7, elf.R_X86_64_RELATIVE, 0, CODE),
    ],
    ["may have neighbours", "sound", ...one, code, second(DATA - 8, elf.R_X86_64_RELATIVE, 0, DATA)],
    ["may have another object's function", "sound", ...one, second(DATA, elf.R_X86_64_GLOB_DAT, PUTS)],
    ["has nothing else of another object", wrong(0), ...one, UNDEFINED, second(DATA, elf.R_X86_64_GLOB_DAT, PUTS)],
    ["may have the object's own function", "sound", ...one, second(DATA, elf.R_X86_64_64, RED)],
    ["has a function with its addend", wrong(0), ...one, second(DATA, elf.R_X86_64_64, RED, FAR)],
    ["has a function without the addend of others", "sound", ...one, second(DATA, elf.R_X86_64_GLOB_DAT, RED, FAR)],
    ["may have an absolute one outside", "sound", ...one, ABSOLUTE(FAR), second(DATA, elf.R_X86_64_64, BLUE)],
    ["has no absolute one within", wrong(0), ...one, ABSOLUTE(CODE), second(DATA, elf.R_X86_64_64, BLUE)],
    ["may have what a function returns", "sound", ...one, second(DATA, elf.R_X86_64_IRELATIVE, 0, CODE)],
    ["has nothing of special types", wrong(0), ...one, code, second(DATA, elf.R_X86_64_SIZE64, RED)],
    [
      "is one of several, in any order",
      "sound",
      ...[...one, code, fini(DATA + 16, 8), second(DATA + 16, elf.R_X86_64_RELATIVE, 0, CODE)],
    ],
    [
      "is one of several, the other way round",
      "sound",
      ...[withCode, code, fini(DATA, 8), array(DATA + 16, 8), second(DATA + 16, elf.R_X86_64_RELATIVE, 0, CODE)],
    ],
    [
      "is one of several, and what is between them is none",
      "sound",
      ...[...one, code, fini(DATA + 32, 8), second(DATA + 32, elf.R_X86_64_RELATIVE, 0, CODE)],
      plt(DATA + 21, elf.R_X86_64_JUMP_SLOT, PUTS),
    ],
    ["is code by packed relocations", "sound", withCode, array(DATA + 24, 8), content(DATA + 24, CODE)],
    ["is data by packed relocations", wrong(0), withCode, array(DATA + 24, 8), content(DATA + 24, DATA)],
    ["is not relocated at a fixed address", "sound", isFixed, withCode, array(DATA + 32, 8), content(DATA + 32, CODE)],
    ["is code at a fixed address, too", wrong(0), isFixed, withCode, array(DATA + 32, 8), content(DATA + 32, DATA)],
    ["is relocated at any other", wrong(0), withCode, array(DATA + 32, 8), content(DATA + 32, CODE)],
  ])("%s", (_, expected, ...changes) => expect(faultOf(...changes)).toBe(expected));
});
