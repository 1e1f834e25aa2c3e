// Another process's memory, tried on this one's own, which the same system calls reach.

import { expect, test } from "bun:test";
import { addressOf } from "../../../lib/memory/live.ts";
import { add, alignUp, PAGE_SIZE, toAddress } from "../../../lib/memory/numbers.ts";
import { Libc } from "../../../lib/process/libc.ts";
import { OtherProcess } from "../../../lib/process/other.ts";

const libc = new Libc();
const LARGE = 2 * PAGE_SIZE;

/** Memory of its own for each test: `at` begins a page, and three follow. */
function memory() {
  const bytes = new Uint8Array(5 * PAGE_SIZE);
  const start = addressOf(bytes);
  const at = alignUp(start, PAGE_SIZE);
  const process = new OtherProcess(libc, libc.pid);
  const read = (offset: number, length = 1) => {
    const { buffer, byteOffset } = process.memory.view(add(at, offset), length);
    return [...new Uint8Array(buffer, byteOffset, length)];
  };
  return { process, read, at, own: bytes.subarray(at - start) };
}

test("while it is held, what was read is not read again", () => {
  const { process, read, own } = memory();
  own[10] = 1;
  process.hold();
  expect(read(10)).toEqual([1]);
  own.fill(2, 0, 20);
  expect(read(9, 3)).toEqual([0, 1, 0]);
  expect(read(PAGE_SIZE, 1)).toEqual([0]);
  expect(read(0, LARGE)[10]).toBe(2);
  process.hold();
  expect(read(10)).toEqual([2]);
});

test("once it is released, everything is read anew", () => {
  const { process, read, own } = memory();
  process.hold();
  expect(read(10)).toEqual([0]);
  process.release();
  for (const value of [1, 2]) {
    own[10] = value;
    expect(read(10)).toEqual([value]);
  }
});

test("what is written is read, on every page that it touches, and around it", () => {
  const { process, read, at, own } = memory();
  process.hold();
  const ends = [PAGE_SIZE - 1, PAGE_SIZE, 2 * PAGE_SIZE, 3 * PAGE_SIZE];
  expect(ends.flatMap((offset) => read(offset))).toEqual([0, 0, 0, 0]);
  process.write(add(at, PAGE_SIZE - 1), new Uint8Array(PAGE_SIZE + 2).fill(7));
  own[3 * PAGE_SIZE] = 9;
  expect(ends.flatMap((offset) => read(offset))).toEqual([7, 7, 7, 0]);
  expect(read(PAGE_SIZE - 2, 3)).toEqual([0, 7, 7]);
});

test("strings are read wherever they are, held or not", () => {
  const { process, at, own } = memory();
  own.set(Buffer.from("one\0"), 8);
  own.set(Buffer.from(`${"long".repeat(300)}\0`), PAGE_SIZE - 100);
  for (const hold of [false, true]) {
    if (hold) process.hold();
    expect(process.stringAt(add(at, 8))).toBe("one");
    expect(process.stringAt(add(at, PAGE_SIZE - 100))).toBe("long".repeat(300));
    expect(process.stringAt(add(at, 11))).toBe("");
  }
});

test("pages that are not there are said so", () => {
  const { process } = memory();
  for (const hold of [false, true]) {
    if (hold) process.hold();
    expect(() => process.memory.view(toAddress(16), 8)).toThrow(/^Cannot read .* of process/);
  }
});
