// Memory that is not there: what is mapped over what, and how little of it is copied.

import { afterAll, describe, expect, test } from "bun:test";
import { FileBytes } from "../../../lib/elf/file.ts";
import { SimulatedSpace } from "../../../lib/link/simulated-space.ts";
import { LinkError } from "../../../lib/link-error.ts";
import { add, PAGE_SIZE, toAddress, toOffset } from "../../../lib/memory/numbers.ts";
import { Scratch } from "../elf/scratch.ts";

const scratch = new Scratch();
afterAll(() => scratch[Symbol.dispose]());
const READ = 1;
const WRITE = 3;

/** Each byte is its page's number, from 1 on; the third page ends after 100 bytes. */
const content = new Uint8Array(2 * PAGE_SIZE + 100).map((_, i) => 1 + Math.floor(i / PAGE_SIZE));
const path = scratch.write("file", content);

const bytesOf = (space: SimulatedSpace, ...at: number[]): number[] =>
  at.map((address) => space.read(toAddress(address), 1).getUint8(0));

describe("a simulated address space", () => {
  test("gives the first range where programs are, and all others below each other", () => {
    const space = new SimulatedSpace();
    const program = space.reserve(5000, 4096);
    const one = space.reserve(5000, 4096);
    const two = space.reserve(1, 0x200000);
    expect([program, one, two]).toEqual([0x555555554000, 0x7ffff7ffd000, 0x7ffff7e00000].map(toAddress));
    expect(space.areas.map(({ start, end }) => end - start)).toEqual([8192, 4096, 8192]);
  });

  test("refuses what is taken, and what is no memory", () => {
    const space = new SimulatedSpace();
    space.reserve(2 * PAGE_SIZE, 1, toAddress(0x400000));
    expect(() => space.reserve(PAGE_SIZE, 1, toAddress(0x401000))).toThrow(LinkError);
    expect(() => space.reserve(2 ** 47, 1)).toThrow("Cannot reserve 140737488355328 bytes");
    expect(space.reserve(PAGE_SIZE, 1, toAddress(0x402000))).toBe(toAddress(0x402000));
  });

  test("has a file's pages, zeroes behind its end, and says where nothing is", () => {
    using file = new FileBytes(path);
    const space = new SimulatedSpace();
    const start = space.reserve(4 * PAGE_SIZE, 1);
    space.mapFile(start, 3 * PAGE_SIZE, READ, file, toOffset(0));
    expect(bytesOf(space, start, start + 4096, start + 8192 + 99, start + 8192 + 100)).toEqual([1, 2, 3, 0]);
    expect(new Uint8Array(space.read(add(start, 4090), 10).buffer)).toEqual(
      new Uint8Array([1, 1, 1, 1, 1, 1, 2, 2, 2, 2]),
    );
    expect(() => space.read(toAddress(0x1000), 1)).toThrow("Cannot read 0x1000: nothing is mapped there");
    expect(() => space.window(toAddress(0x1000))).toThrow(LinkError);
  });

  test("copies the pages that are written to, and leaves the file as it is", () => {
    using file = new FileBytes(path);
    const space = new SimulatedSpace();
    const start = space.reserve(2 * PAGE_SIZE, 1);
    space.mapFile(start, 2 * PAGE_SIZE, WRITE, file, toOffset(PAGE_SIZE));
    const { view, start: page } = space.window(add(start, 5));
    view.setUint8(5, 77);
    expect(page).toBe(start);
    expect(bytesOf(space, start + 4, start + 5, start + 4096)).toEqual([2, 77, 3]);
    expect(space.copied).toBe(PAGE_SIZE);
    expect(file.view(toOffset(PAGE_SIZE + 5), 1, "test").getUint8(0)).toBe(2);
    expect(space.window(add(start, 9)).view).toBe(view);
  });

  test("forgets what has been written to where something else is mapped", () => {
    using file = new FileBytes(path);
    const space = new SimulatedSpace();
    const start = space.reserve(3 * PAGE_SIZE, 1);
    space.mapFile(start, 3 * PAGE_SIZE, WRITE, file, toOffset(0));
    for (const page of [0, 1, 2]) space.window(add(start, page * PAGE_SIZE)).view.setUint8(0, 77);
    space.mapZeroes(add(start, PAGE_SIZE), PAGE_SIZE, WRITE);
    expect(bytesOf(space, start, start + 4096, start + 8192)).toEqual([77, 0, 77]);
    space.protect(add(start, PAGE_SIZE), PAGE_SIZE, READ);
    expect(space.areas.map(({ protection, backing }) => [protection, backing?.offset])).toEqual([
      [WRITE, toOffset(0)],
      [READ, undefined],
      [WRITE, toOffset(8192)],
    ]);
    space.protect(start, 3 * PAGE_SIZE, READ);
    expect(bytesOf(space, start, start + 4096, start + 8192)).toEqual([77, 0, 77]);
    expect(space.areas.map(({ protection }) => protection)).toEqual([READ, READ, READ]);
  });
});
