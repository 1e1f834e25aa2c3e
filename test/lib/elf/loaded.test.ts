// Images in memory that stands for that of a process: it is shared with it, or copied a piece at a time.

import { afterAll, describe, expect, test } from "bun:test";
import { openImage } from "../../../lib/elf/file.ts";
import { LoadedImage } from "../../../lib/elf/loaded.ts";
import { VersionLabels } from "../../../lib/elf/version-labels.ts";
import type { Memory } from "../../../lib/memory/live.ts";
import { toAddress, toVaddr } from "../../../lib/memory/numbers.ts";
import { word, xword } from "./bytes.ts";
import { everything } from "./everything.ts";
import { inMemory } from "./in-memory.ts";
import { Scratch } from "./scratch.ts";
import { changed, smallImage } from "./small-image.ts";

const scratch = new Scratch();
afterAll(() => scratch[Symbol.dispose]());
const small = scratch.write("small.so", smallImage().bytes);
const BIAS = toAddress(0x7f00_0000_0000);

test.each([false, true])("an image says in memory what its file says; copied: %p", (isCopied) => {
  using file = openImage(small);
  expect(everything(inMemory(small, BIAS, isCopied).image)).toEqual(everything(file));
});

test("labels have two signs for the version that is meant without one, and none for no version", () => {
  using file = openImage(small);
  const labels = new VersionLabels(file);
  const names = Array.from(file.symbols, (sym, i) => `${file.symbols.nameOf(sym)}${labels.suffixOf(i)}`);
  expect(names).toEqual(["", "puts@GLIBC_2.2.5", "red@V1", "red@@V2", "blue", "table@@V2"]);
});

test("an image has as many symbols as the table says that has more", () => {
  const NCHAIN = 4;
  const { at } = smallImage();
  const symbolsOf = (name: string, bytes: Uint8Array): number => {
    using file = openImage(scratch.write(name, bytes));
    return file.symbols.length;
  };
  expect(symbolsOf("same", smallImage().bytes)).toBe(6);
  // without DT_HASH's last, and with one more than DT_GNU_HASH covers
  expect(symbolsOf("fewer", changed(at("hash") + NCHAIN, word(5)))).toBe(6);
  expect(symbolsOf("more", changed(at("hash") + NCHAIN, word(7)))).toBe(7);
});

describe("of memory that is copied", () => {
  const FAR = 0x10_0000;
  const SIZE = 3 * 65536 + 100;

  /** The image, with a large segment in place of its notes, and where it was read, in vaddrs. */
  function large(flags: number, isCopied: boolean) {
    const { at } = smallImage();
    const third = at("phdrs") + 3 * 56;
    const header = [
      ...word(1),
      ...word(flags),
      ...xword(0),
      ...xword(FAR),
      ...xword(FAR),
      ...xword(SIZE),
      ...xword(SIZE),
    ];
    using file = openImage(scratch.write("large.so", changed(third, header)));
    const { memory } = inMemory(small, BIAS, isCopied);
    const read: [vaddr: number, length: number][] = [];
    let addend = 0;
    const view = (address: number, length: number): DataView => {
      const vaddr = address - BIAS;
      if (vaddr < FAR) return memory.view(toAddress(address), length);
      read.push([vaddr - FAR, length]);
      return new DataView(Uint8Array.from({ length }, (_, i) => ((vaddr + i) % 251) + addend).buffer);
    };
    const image = new LoadedImage("large.so", BIAS, file.ehdr, [...file.phdrs], { ...memory, view } as Memory);
    const bytes = (from: number, length: number): number[] => {
      const found = image.bytes.view(toVaddr(FAR + from), length, "bytes");
      return [...new Uint8Array(found.buffer, found.byteOffset, found.byteLength)];
    };
    const expected = (from: number, length: number) =>
      Array.from({ length }, (_, i) => ((FAR + from + i) % 251) + addend);
    const change = () => {
      addend = 1;
    };
    return { bytes, expected, read, change };
  }

  const PLACES = [
    [0, 16],
    [65520, 16],
    [100, 65436],
    [65536, 8],
    [3 * 65536, 100],
    [SIZE - 4, 4],
  ] as const;

  test("a read-only segment is copied once, in pieces up to its end", () => {
    const { bytes, expected, read } = large(4, true);
    for (const [from, length] of PLACES) expect(bytes(from, length)).toEqual(expected(from, length));
    expect(read).toEqual([
      [0, 65536],
      [65536, 65536],
      [3 * 65536, 100],
    ]);
  });

  test("what reaches from one piece to the next, or behind the bytes of the file, is read by itself", () => {
    const { bytes, expected, read } = large(4, true);
    for (const [from, length] of [
      [65528, 16],
      [SIZE - 4, 8],
    ] as const)
      expect(bytes(from, length)).toEqual(expected(from, length));
    expect(read).toEqual([
      [65528, 16],
      [SIZE - 4, 8],
    ]);
  });

  test.each([
    ["a writable segment", 6, true],
    ["memory that is not copied", 4, false],
  ] as const)("%s is read each time, as it changes", (_, flags, isCopied) => {
    const { bytes, expected, change, read } = large(flags, isCopied);
    expect(bytes(8, 8)).toEqual(expected(8, 8));
    change();
    expect(bytes(8, 8)).toEqual(expected(8, 8));
    expect(read).toEqual([
      [8, 8],
      [8, 8],
    ]);
  });
});
