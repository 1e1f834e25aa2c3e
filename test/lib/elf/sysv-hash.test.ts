import { describe, expect, test } from "bun:test";
import { SysvHash, sysvHash } from "../../../lib/elf/sysv-hash.ts";
import { faultOf, viewOf, word } from "./bytes.ts";

const hashOf = (name: string) => sysvHash(new TextEncoder().encode(name));
const table = (...words: number[]) => new SysvHash("libtest.so", viewOf(...words.map(word)));

describe("sysvHash()", () => {
  test("agrees with published values", () => {
    expect(hashOf("")).toBe(0);
    expect(hashOf("printf")).toBe(0x077905a6);
    expect(hashOf("exit")).toBe(0x0006cf04);
    expect(hashOf("syscall")).toBe(0x0b09985c);
    expect(hashOf("flapenguin.me")).toBe(0x03987915);
    expect(hashOf("GLIBC_2.2.5")).toBe(0x09691a75);
  });

  test("keeps to 28 bits, as the gABI has it", () => {
    const long = hashOf("a_rather_long_symbol_name_that_overflows_several_times");
    expect(long).toBeLessThan(2 ** 28);
    expect(sysvHash(new Uint8Array(8).fill(0xff))).toBeLessThan(2 ** 28);
  });
});

describe("SysvHash.candidates()", () => {
  // two buckets, five symbols: bucket 0 is 4 → 2, bucket 1 is 3 → 1
  const sound = table(2, 5, ...[4, 3], ...[0, 0, 0, 1, 2]);

  test("yields the whole chain of the hash's bucket", () => {
    expect(sound.symbolCount).toBe(5);
    expect(sound.size).toBe(9 * 4);
    expect([...sound.candidates(8)]).toEqual([4, 2]);
    expect([...sound.candidates(0x0ffffff1)]).toEqual([3, 1]);
  });

  test("yields nothing for an empty bucket, or without buckets", () => {
    expect([...table(1, 3, 0, ...[0, 0, 0]).candidates(7)]).toEqual([]);
    expect([...table(0, 3, ...[0, 0, 0]).candidates(7)]).toEqual([]);
  });

  test("throws for a chain that loops", () => {
    const looping = table(1, 4, 1, ...[0, 2, 3, 1]); // 1 → 2 → 3 → 1
    expect(faultOf(() => [...looping.candidates(0)]).fault).toContain("loops");
    const narrow = table(1, 2, 1, ...[0, 1]); // 1 → 1
    expect(faultOf(() => [...narrow.candidates(0)])).toMatchObject({ path: "libtest.so", structure: "DT_HASH" });
  });

  test("throws for a bucket or a chain that leads out of the table", () => {
    expect(faultOf(() => [...table(1, 2, 2, ...[0, 0]).candidates(0)]).fault).toContain("symbol 2");
    expect(faultOf(() => [...table(1, 2, 1, ...[0, 0xffffffff]).candidates(0)]).fault).toContain("symbol 4294967295");
  });
});

describe("SysvHash", () => {
  test("is not read where its header is cut off", () => {
    for (let length = 0; length < 8; length++)
      expect(faultOf(() => new SysvHash("libtest.so", new DataView(new ArrayBuffer(length)))).structure).toBe(
        "DT_HASH",
      );
  });

  test("is not read with absurd counts of buckets", () => {
    expect(faultOf(() => table(0xffffffff, 1, 0)).fault).toContain("4294967295 buckets");
    expect(faultOf(() => table(0xffffffff, 0xffffffff, 0)).structure).toBe("DT_HASH");
  });

  test("counts its symbols by its chains where nchain is absurd, as no loader looks at it", () => {
    // 1 → 2
    for (const count of [0, 1, 2, 0xffffffff]) expect(table(1, count, 1, ...[0, 2, 0]).symbolCount).toBe(3);
    // more than chains lead to is what it says
    expect(table(1, 5, 1, ...[0, 2, 0, 0, 0]).symbolCount).toBe(5);
    expect(table(1, 0xffffffff, 1, ...[0, 2, 0]).size).toBe(8 + 4 * 4);
  });

  test("counts its symbols by the chains of every bucket", () => {
    // bucket 0: 1, bucket 1: 3 → 4
    expect(table(2, 1, ...[1, 3], ...[0, 0, 0, 4, 0]).symbolCount).toBe(5);
  });

  test("may have chains that meet, but none that loops", () => {
    // bucket 0: 1 → 3, bucket 1: 2 → 3
    expect(table(2, 4, ...[1, 2], ...[0, 3, 3, 0]).symbolCount).toBe(4);
    expect(faultOf(() => table(2, 4, ...[1, 2], ...[0, 3, 3, 3]).symbolCount).fault).toBe("a chain loops, at symbol 3");
    expect(faultOf(() => table(1, 4, 1, ...[0, 2, 1, 0]).symbolCount).fault).toBe("a chain loops, at symbol 1");
  });

  test("may end exactly with its segment", () => {
    expect(table(1, 1, 0, 0).symbolCount).toBe(1);
    expect(table(0, 0).symbolCount).toBe(0);
  });
});
