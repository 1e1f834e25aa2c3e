// Thousands of damaged files, the same ones in every run: whatever is wrong with a file, its reader ends soon, with data
// or with an error that says what is wrong. `bun run fuzz` has more of them.

import { afterAll, describe, expect, test } from "bun:test";
import { Scratch } from "../lib/elf/scratch.ts";
import { fuzzReader } from "./fuzz.ts";
import { readersIn } from "./readers.ts";

const scratch = new Scratch();
afterAll(() => scratch[Symbol.dispose]());

const MOST_MEMORY = 512 * 2 ** 20;

describe("a damaged file is read or refused, soon and in little memory:", () => {
  test.each(readersIn(scratch).map((reader) => [reader.name, reader] as const))("%s", (_, reader) => {
    Bun.gc(true);
    const before = process.memoryUsage().rss;
    const { read, refused } = fuzzReader(scratch, reader, { seed: 1, from: 0, count: 1500 });
    expect(process.memoryUsage().rss - before).toBeLessThan(MOST_MEMORY);
    expect(read).toBeGreaterThan(50);
    // The damage is found in many places.
    if (reader.name === "image") expect(refused.size).toBeGreaterThan(8);
  });
});

describe("a reader is found out", () => {
  const damage = () => new Uint8Array(8);

  test("that throws another error", () => {
    const reader = { name: "red", damage, errors: [RangeError], read: () => JSON.parse("{") as undefined };
    expect(() => fuzzReader(scratch, reader, { seed: 3, from: 7, count: 1 })).toThrow(
      'red: it ends in another error. Repeat it by: bun run fuzz --only "red" --seed 3 --from 7 --count 1',
    );
  });

  test("that takes long", () => {
    const read = () => {
      const before = process.cpuUsage();
      for (let spent = 0; spent < 2_100_000; ) spent = process.cpuUsage(before).user + process.cpuUsage(before).system;
    };
    const reader = { name: "blue", damage, errors: [], read };
    expect(() => fuzzReader(scratch, reader, { seed: 3, from: 0, count: 1 })).toThrow(/^blue: it takes 2\d\d\d ms/);
  });
});
