// What a search and a plan go by, of one file.

import { afterAll, describe, expect, test } from "bun:test";
import { type Library, readLibrary } from "../../../lib/elf/library.ts";
import { word, xword } from "./bytes.ts";
import { Scratch } from "./scratch.ts";
import { changed, smallImage, withDynamic, withoutDynamic } from "./small-image.ts";

const scratch = new Scratch();
afterAll(() => scratch[Symbol.dispose]());
const { at } = smallImage();
const read = (bytes: Uint8Array): Library => readLibrary(scratch.write("libfile.so", bytes));
const [DT_SONAME, DT_FLAGS_1] = [14, 0x6ffffffb];

test("all of it", () => {
  expect(read(smallImage().bytes)).toEqual({
    path: scratch.path("libfile.so"),
    ...{ soname: "libsmall.so.1", hasSoname: true, needed: ["libc.so.6"], filtees: [] },
    ...{ rpath: undefined, runpath: "/opt/run", avoidsDefaults: true, auditors: [] },
    ...{ isFixed: false, isPie: false, isForStart: false, wantsExecutableStack: true },
    ...{ interpreter: undefined, startsByLibc: false, entersNamespaces: false, versions: ["V1", "V2"] },
    ...{
      tls: undefined,
      hasUnique: false,
      hasMalloc: false,
      hasOperatorNew: false,
      isSanitizer: false,
      isLibc: false,
      versionsBeside: [],
    },
    ...{ glibc: "2.2.5", isOfGlibc: false, release: undefined, gconv: undefined },
  });
});

test("a file without a soname has its own name", () => {
  expect(read(withoutDynamic(DT_SONAME))).toMatchObject({ soname: "libfile.so", hasSoname: false });
});

test("each flag says one thing", () => {
  const [NOOPEN, NODEFLIB, PIE] = [0x40, 0x800, 0x0800_0000];
  const flags = (value: number) => {
    const { isForStart, avoidsDefaults, isPie } = read(withDynamic(DT_FLAGS_1, value));
    return [isForStart, avoidsDefaults, isPie];
  };
  expect(flags(0)).toEqual([false, false, false]);
  expect(flags(NOOPEN)).toEqual([true, false, false]);
  expect(flags(NODEFLIB)).toEqual([false, true, false]);
  expect(flags(PIE)).toEqual([false, false, true]);
  const [E_TYPE, ET_EXEC] = [16, 2];
  expect(read(changed(at("ehdr") + E_TYPE, [ET_EXEC, 0])).isFixed).toBe(true);
});

test("one symbol that exists once in a process is enough", () => {
  const [LAST, ST_INFO, SIZE, UNIQUE_OBJECT] = [5, 4, 24, 0xa1];
  expect(read(changed(at("dynsym") + LAST * SIZE + ST_INFO, [UNIQUE_OBJECT])).hasUnique).toBe(true);
});

describe("its stack", () => {
  const header = (type: number, flags: number) =>
    changed(at("phdrs") + 3 * 56, word(type), word(flags), ...[0, 0, 0, 0, 0, 16].map(xword));
  const [PT_GNU_STACK, RW, RWX] = [0x6474e551, 6, 7];

  test.each([
    ["is said not to be executable", PT_GNU_STACK, RW, false],
    ["is said to be executable", PT_GNU_STACK, RWX, true],
    ["is not spoken of", 0x6000_0000, RW, true],
  ] as const)("%s", (_, type, flags, expected) => {
    expect(read(header(type, flags)).wantsExecutableStack).toBe(expected);
  });
});
