import { describe, expect, test } from "bun:test";
import { GnuHash, gnuHash } from "../../../lib/elf/gnu-hash.ts";
import { faultOf, viewOf, word, xword } from "./bytes.ts";

const hashOf = (name: string) => gnuHash(new TextEncoder().encode(name));
const table = (...bytes: number[][]) => new GnuHash("libtest.so", viewOf(...bytes));

describe("gnuHash()", () => {
  test("agrees with published values", () => {
    expect(hashOf("")).toBe(0x1505);
    expect(hashOf("printf")).toBe(0x156b2bb8);
    expect(hashOf("exit")).toBe(0x7c967e3f);
    expect(hashOf("syscall")).toBe(0xbac212a0);
    expect(hashOf("flapenguin.me")).toBe(0x8ae9f18e);
  });

  test("takes bytes beyond ASCII as unsigned", () => {
    expect(gnuHash(new Uint8Array([0xff]))).toBe(5381 * 33 + 0xff);
  });
});

const HASH = 0b1000_0000_0101; // bits 5 and, shifted by 6, 32 of the filter
const FILTER = (1n << 5n) | (1n << 32n);
const HEADER = (buckets: number, symOffset: number, words = 1, shift = 6) => [
  word(buckets), // nbuckets
  word(symOffset),
  word(words), // bloom_size
  word(shift), // bloom_shift
];

describe("GnuHash.candidates()", () => {
  const chain = [
    word(1), // bucket[0]: symbol 1
    word(0x1111_1110), // symbol 1
    word(HASH & ~1), // symbol 2
    word((HASH & ~1) | 1), // symbol 3, the chain's last
  ];

  test("yields the symbols with that hash, in the order of the chain", () => {
    expect([...table(...HEADER(1, 1), xword(FILTER), ...chain).candidates(HASH)]).toEqual([2, 3]);
  });

  test("does not take the end mark for a part of the hash", () => {
    expect([...table(...HEADER(1, 1), xword(FILTER), ...chain).candidates(HASH & ~1)]).toEqual([]); // another bloom bit
    expect([...table(...HEADER(1, 1), xword(-1), ...chain).candidates(HASH & ~1)]).toEqual([2, 3]);
  });

  test("yields nothing when the bloom filter rules the name out", () => {
    for (const filter of [0n, 1n << 5n, 1n << 32n, ~FILTER])
      expect([...table(...HEADER(1, 1), xword(filter), ...chain).candidates(HASH)]).toEqual([]);
  });

  test("begins with the bucket that the hash selects", () => {
    const hashes = [0x10, 0x21, 0x32]; // symbols 1 to 3, each alone in its bucket
    const buckets = table(...HEADER(3, 1), xword(-1), ...[2, 1, 3].map(word), ...hashes.map((hash) => word(hash | 1)));
    expect(hashes.map((hash) => hash % 3)).toEqual([1, 0, 2]);
    expect(hashes.map((hash) => [...buckets.candidates(hash)])).toEqual([[1], [2], [3]]);
  });

  test.each([
    ["even", 0, HASH],
    ["odd", 1, HASH | (1 << 6)], // bits 6 and above select the word, and are the second bit of the filter
  ])("looks at the word of the filter that the hash selects: %s", (_, selected, hash) => {
    const filter = (1n << BigInt(hash & 63)) | (1n << BigInt((hash >>> 6) & 63));
    const found = (at: number) => {
      const words = [0, 1].map((i) => xword(i === at ? filter : 0));
      return [...table(...HEADER(1, 1, 2), ...words, word(1), word(hash | 1)).candidates(hash)];
    };
    expect([found(selected), found(1 - selected)]).toEqual([[1], []]);
  });

  test("looks at two bits of the word, each in either half, and takes both", () => {
    for (const hash of [0x02, 0x22, 0x42, 0x62, 0x1f, 0x20, 0x3f, 0x802, 0x822, 0xfc2, 0xfe2]) {
      const [first, second] = [hash & 63, (hash >>> 6) & 63].map((bit) => 1n << BigInt(bit)) as [bigint, bigint];
      const found = (filter: bigint) => [
        ...table(...HEADER(1, 1), xword(filter), word(1), word(hash | 1)).candidates(hash),
      ];
      expect([hash, found(first | second)]).toEqual([hash, [1]]);
      expect([hash, found(~(first | second))]).toEqual([hash, []]);
      if (first === second) continue;
      expect([hash, found(~first)]).toEqual([hash, []]);
      expect([hash, found(~second)]).toEqual([hash, []]);
    }
  });

  test("shifts a hash as unsigned", () => {
    const filter = (1n << 63n) | (1n << 1n); // 0xffffffff: bit 63 and, shifted by 31, bit 1
    expect([...table(...HEADER(1, 1, 1, 31), xword(filter), word(1), word(-1)).candidates(0xffffffff)]).toEqual([1]);
    expect([...table(...HEADER(1, 1, 1, 31), xword(1n << 63n), word(1), word(-1)).candidates(0xffffffff)]).toEqual([]);
  });

  test("yields nothing for an empty bucket", () => {
    expect([...table(...HEADER(1, 1), xword(-1), word(0)).candidates(HASH)]).toEqual([]);
    expect([...table(...HEADER(1, 0), xword(-1), word(0)).candidates(HASH)]).toEqual([]);
  });

  test("yields nothing for a bucket that points in front of the table's symbols", () => {
    expect([...table(...HEADER(1, 7), xword(-1), word(6), word(HASH)).candidates(HASH)]).toEqual([]);
  });

  test("throws for a chain without end", () => {
    const endless = table(...HEADER(1, 1), xword(-1), word(1), word(2), word(4), word(6));
    const fault = faultOf(() => [...endless.candidates(HASH)]);
    expect(fault).toMatchObject({ path: "libtest.so", structure: "DT_GNU_HASH" });
    expect(fault.fault).toContain("symbol 4");
  });

  test("throws for a bucket that points beyond the segment", () => {
    const far = table(...HEADER(1, 1), xword(-1), word(0xffffffff));
    expect(faultOf(() => [...far.candidates(HASH)]).structure).toBe("DT_GNU_HASH");
  });
});

describe("GnuHash.symbolCount", () => {
  test("is one more than the last symbol of the last chain", () => {
    const { symbolCount, isEmpty, size } = table(
      ...HEADER(3, 5),
      xword(-1),
      ...[word(7), word(0), word(5)], // the buckets: the last chain need not be the last bucket's
      ...[word(2), word(3)], // symbols 5 and 6
      ...[word(4), word(6), word(9)], // symbols 7 to 9
    );
    expect(symbolCount).toBe(10);
    expect(isEmpty).toBe(false);
    expect(size).toBe(16 + 8 + 3 * 4 + 5 * 4);
  });

  test("is what lies in front of the table where the table is empty", () => {
    const empty = table(...HEADER(1, 12), xword(0), word(0));
    expect(empty.symbolCount).toBe(12);
    expect(empty.isEmpty).toBe(true);
    expect(empty.size).toBe(16 + 8 + 4);
    expect(table(...HEADER(1, 0), xword(0), word(0)).isEmpty).toBe(true);
  });

  test("throws for a chain without end", () => {
    expect(faultOf(() => table(...HEADER(1, 1), xword(-1), word(1), word(2)).symbolCount).fault).toContain("symbol 2");
  });
});

describe("GnuHash", () => {
  test("is not read where its header is cut off", () => {
    for (let length = 0; length < 16; length++) {
      const cut = () => new GnuHash("libtest.so", new DataView(new ArrayBuffer(length)));
      expect(faultOf(cut).fault).toContain("within its header");
    }
  });

  test("is not read with absurd counts", () => {
    expect(faultOf(() => table(...HEADER(0xffffffff, 1), xword(-1), word(0))).fault).toContain("4294967295 buckets");
    expect(faultOf(() => table(...HEADER(1, 1, 0xffffffff), xword(-1), word(0))).fault).toContain("4294967295 bloom");
  });

  test("may begin a chain with its first symbol and its last, and with no other", () => {
    const one = (first: number) => table(...HEADER(1, 2), xword(-1), word(first), word(1), word(1), word(1));
    for (const first of [0, 2, 4]) expect(() => one(first).check(5)).not.toThrow();
    for (const first of [1, 5]) expect(faultOf(() => one(first).check(5)).fault).toContain(`symbol ${first}`);
    // The last symbol of a smaller table is beyond it.
    expect(faultOf(() => one(4).check(4)).fault).toContain("symbol 4");
  });

  test("is checked in every bucket", () => {
    const two = (second: number) => table(...HEADER(2, 2), xword(-1), word(2), word(second), word(1), word(1), word(1));
    expect(() => two(4).check(5)).not.toThrow();
    expect(faultOf(() => two(7).check(5)).fault).toBe("bucket 1 begins with symbol 7, of 2 to 5");
    expect(faultOf(() => two(1).check(5)).fault).toBe("bucket 1 begins with symbol 1, of 2 to 5");
  });

  test("is not read with buckets and without a filter", () => {
    expect(faultOf(() => table(...HEADER(1, 1, 0), xword(-1), word(0))).structure).toBe("DT_GNU_HASH");
  });

  test("has nothing without buckets, whatever else it says, as a loader passes over it", () => {
    for (const empty of [table(...HEADER(0, 1)), table(...HEADER(0, 7, 0)), table(...HEADER(0, 7, 0x4000_0000))]) {
      expect(empty.isEmpty).toBe(true);
      expect([...empty.candidates(7)]).toEqual([]);
      expect(empty.size).toBe(16);
      empty.check(1);
    }
  });
});
