// Thousands of damaged images, the same ones in every run: whatever is wrong
// with a file, reading it ends soon, with data or with an ElfError.

import { afterAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { ElfError } from "../../../lib/elf/error.ts";
import { openImage } from "../../../lib/elf/file.ts";
import { loadedImage } from "../../../lib/elf/loaded.ts";
import { alignDown, alignUp, PAGE_SIZE, toAddress } from "../../../lib/memory/numbers.ts";
import { everything } from "./everything.ts";
import { mutate, type Range, random, rangesOf } from "./mutate.ts";
import { Scratch } from "./scratch.ts";
import { smallImage } from "./small-image.ts";
import { buildSpecimens } from "./specimens.ts";

const scratch = new Scratch();
afterAll(() => scratch[Symbol.dispose]());
const specimens = buildSpecimens(scratch);

function fuzz(name: string, path: string, count: number, seed: number) {
  const original = new Uint8Array(readFileSync(path));
  const ranges = rangesOf(path);
  const next = random(seed);
  const outcomes = { read: 0, refused: new Map<string, number>() };
  let slowest = 0;
  for (let i = 0; i < count; i++) {
    const bytes = original.slice();
    mutate(bytes, ranges, next);
    const damaged = scratch.write(name, bytes);
    const started = performance.now();
    try {
      using image = openImage(damaged);
      everything(image);
      outcomes.read++;
    } catch (error) {
      if (!(error instanceof ElfError))
        throw new Error(`Mutation ${i} of seed ${seed} ends in another error`, { cause: error });
      expect(error.path).toBe(damaged);
      outcomes.refused.set(error.structure, (outcomes.refused.get(error.structure) ?? 0) + 1);
    }
    slowest = Math.max(slowest, performance.now() - started);
  }
  return { ...outcomes, slowest };
}

describe("a damaged image is read or refused, soon and in little memory", () => {
  const images = {
    "small image": scratch.write("libsmall.so.1", smallImage().bytes),
    "SysV hash table": specimens["a SysV hash table alone"] ?? "",
    "GNU hash table": specimens["a GNU hash table alone"] ?? "",
    "COPY relocations": specimens["a fixed address and COPY relocations"] ?? "",
    "packed relocations": specimens["packed relative relocations"] ?? "",
  };

  test.each(Object.entries(images))(
    "%s",
    (name, path) => {
      Bun.gc(true);
      const before = process.memoryUsage().rss;
      const { read, refused, slowest } = fuzz(`damaged-${name}`, path, 2000, 1);
      expect(slowest).toBeLessThan(2000);
      expect(process.memoryUsage().rss - before).toBeLessThan(512 * 2 ** 20);
      // Both ways are taken often, and the damage is found in many places.
      expect(read).toBeGreaterThan(100);
      expect(refused.size).toBeGreaterThan(8);
    },
    60_000,
  );
});

test("a loaded image whose tables are damaged is never read beyond its segments' pages", () => {
  const { bytes, at } = smallImage();
  // the image as it lies in memory, at an address that nothing must use but through `memory`
  const start = toAddress(0x7f00_0000_0000);
  const segments: Range[] = [
    [0, alignUp(at("data"), PAGE_SIZE)],
    [alignDown(at("data"), PAGE_SIZE) + 0x1000, alignUp(at("end"), PAGE_SIZE) + 0x1000],
  ];
  const tables: Range[] = [
    [at("note"), at("data")],
    [at("dynamic"), at("end")],
    [at("dynamic"), at("end")],
  ];
  const next = random(2);
  const outcomes = { read: 0, refused: 0 };
  for (let i = 0; i < 2000; i++) {
    const damaged = bytes.slice();
    mutate(damaged, tables, next);
    const mapped = new Uint8Array(alignUp(at("end"), PAGE_SIZE) + 0x1000);
    mapped.set(damaged.subarray(0, at("data")));
    mapped.set(damaged.subarray(at("data")), at("data") + 0x1000);
    const view = (address: number, length: number): DataView => {
      const from = address - start;
      // What is empty is read nowhere.
      if (length !== 0 && !segments.some(([first, end]) => from >= first && from + length <= end))
        throw new Error(`Mutation ${i} has ${length} bytes read at ${from}, outside the pages`);
      return new DataView(mapped.buffer, length === 0 ? 0 : from, length);
    };
    try {
      everything(loadedImage("libsmall.so.1", start, start, { view }));
      outcomes.read++;
    } catch (error) {
      if (!(error instanceof ElfError)) throw error;
      outcomes.refused++;
    }
  }
  expect(outcomes.read).toBeGreaterThan(100);
  expect(outcomes.refused).toBeGreaterThan(100);
});
