// Segments: which of them a loader maps where, and which one has a vaddr.

import { describe, expect, test } from "bun:test";
import { loadSegments, type Phdr, pagesOf, pieceAt, readPhdrs, segmentAt } from "../../../lib/elf/phdr.ts";
import { toVaddr } from "../../../lib/memory/numbers.ts";
import { faultOf, viewOf, word, xword } from "./bytes.ts";

/** A PT_LOAD, or another type. */
const header = (vaddr: number | bigint, filesz: number | bigint, memsz: number | bigint = filesz, type = 1) => [
  ...[...word(type), ...word(4), ...xword(0), ...xword(vaddr), ...xword(vaddr)],
  ...[...xword(filesz), ...xword(memsz), ...xword(0x1000)],
];
const phdrs = (...headers: number[][]): Phdr[] => readPhdrs(viewOf(...headers));
const loads = (...headers: number[][]): Phdr[] => loadSegments("libtest.so", phdrs(...headers));
const fault = (...headers: number[][]): string => faultOf(() => loads(...headers)).fault;

describe("readPhdrs()", () => {
  test("reads whole headers, in their order", () => {
    const list = phdrs(header(0x1000, 1), header(0x2000, 2), header(0x3000, 3).slice(0, 55));
    expect(list.map(({ p_vaddr, p_filesz }) => [p_vaddr as number, p_filesz])).toEqual([
      [0x1000, 1],
      [0x2000, 2],
    ]);
  });
});

describe("loadSegments()", () => {
  test("are those of type PT_LOAD, in their order", () => {
    const list = loads(header(0x1000, 0x10), header(0x1000, 0x10, 0x10, 2), header(0x3000, 0x20));
    expect(list.map(({ p_vaddr }) => p_vaddr as number)).toEqual([0x1000, 0x3000]);
    expect(loads(header(0, 1, 1, 2))).toEqual([]);
  });

  test("may be in any order, and overlap, between the first and the last", () => {
    expect(
      loads(header(0x1000, 0x10), header(0x3000, 0x1000), header(0x2000, 0x10), header(0x3000, 0x1000)),
    ).toHaveLength(4);
  });

  test("may have more bytes in the file than in memory up to the end of the page, or of the last segment", () => {
    expect(loads(header(0x1000, 0x1000, 0x10))).toHaveLength(1);
    expect(fault(header(0x1000, 0x1001, 0x10))).toBe("p_filesz is larger than p_memsz");
    expect(loads(header(0x1000, 0x2000, 0x10), header(0x2000, 0x10))).toHaveLength(2);
    expect(fault(header(0x1000, 0x2001, 0x10), header(0x2000, 0x10))).toBe("p_filesz is larger than p_memsz");
  });

  test("reach neither beyond what a number counts exactly nor beyond the address space", () => {
    const beyond = "p_vaddr and p_memsz reach beyond the address space";
    expect(fault(header(0x1000, 0, 2n ** 53n - 0x1000n))).toBe(beyond);
    expect(fault(header(2n ** 53n, 0, 1))).toBe(beyond);
    expect(fault(header(-0x1000, 0x10))).toBe(beyond);
    expect(loads(header(0x1000, 0, 2n ** 47n))).toHaveLength(1);
  });

  test("are neither before the first one's page nor behind the last one's", () => {
    const outside = "the last segment does not end behind the others, or the first is not before them";
    expect(loads(header(0x1800, 0x10), header(0x1000, 0x10), header(0x3010, 0x10))).toHaveLength(3);
    expect(fault(header(0x1800, 0x10), header(0xfff, 0x10), header(0x3010, 0x10))).toBe(outside);
    expect(loads(header(0x1000, 0x10), header(0x3000, 0x1000), header(0x3010, 0x10))).toHaveLength(3);
    expect(fault(header(0x1000, 0x10), header(0x3000, 0x1001), header(0x3010, 0x10))).toBe(outside);
  });
});

test("pagesOf() are whole, and reach to the end of the longer one of file and memory", () => {
  const [first, second] = loads(header(0x1234, 0x10, 0x1dcd), header(0x4fff, 1)) as [Phdr, Phdr];
  expect(pagesOf(first)).toEqual({ start: toVaddr(0x1000), end: toVaddr(0x4000) });
  expect(pagesOf(second)).toEqual({ start: toVaddr(0x4000), end: toVaddr(0x5000) });
  expect(pagesOf(loads(header(0x1000, 0x1000, 0x10))[0] as Phdr).end).toBe(toVaddr(0x2000));
});

describe("segmentAt()", () => {
  const list = loads(header(0x1100, 0x100), header(0x3000, 0x800, 0x1800), header(0x4000, 0x800));
  const at = (vaddr: number, length?: number): number => list.indexOf(segmentAt(list, vaddr, length) as Phdr);

  test("is the one whose pages have all the bytes", () => {
    expect([at(0x1100), at(0x11ff), at(0x1100, 0x100)]).toEqual([0, 0, 0]);
    expect([at(0x1000), at(0x10ff, 2), at(0x1fff), at(0x1000, 0x1000)]).toEqual([0, 0, 0, 0]);
    expect([at(0x3000), at(0x3ff8, 8)]).toEqual([1, 1]);
  });

  test("is the last of several that have a page", () => {
    expect([at(0x4000), at(0x47ff), at(0x4800), at(0x4fff), at(0x4000, 0x1000)]).toEqual([2, 2, 2, 2, 2]);
    // Each has a byte.
    expect(at(0x3fff, 2)).toBe(-1);
  });

  test("or none", () => {
    expect([at(0xfff), at(0x1fff, 2), at(0x2000), at(0x2fff), at(0x5000)]).toEqual([-1, -1, -1, -1, -1]);
  });

  test("is an earlier one before and behind the pages of a later one", () => {
    const three = loads(header(0x1000, 0x5000), header(0x3000, 0x10), header(0x6000, 0x10));
    const pieces = [0x1000, 0x3fff, 0x5000].map((vaddr) => pieceAt(three, vaddr));
    expect(pieces.map((piece) => piece && ([three.indexOf(piece.load), piece.start, piece.end] as unknown))).toEqual([
      [0, 0x1000, 0x3000],
      [1, 0x3000, 0x4000],
      [0, 0x4000, 0x6000],
    ]);
    expect(pieceAt(three, 0x7000)).toBeUndefined();
  });
});
