import { expect, test } from "bun:test";
import { wordsOf } from "../../../lib/elf/words.ts";

const bytes = Uint8Array.from({ length: 24 }, (_, i) => i);
const at = (offset: number, length: number) => new DataView(bytes.buffer, offset, length);

test("wordsOf() has the whole words of a view, be it aligned or not", () => {
  expect([...wordsOf(at(4, 8))]).toEqual([0x07060504, 0x0b0a0908]);
  expect([...wordsOf(at(5, 8))]).toEqual([0x08070605, 0x0c0b0a09]);
  expect([...wordsOf(at(5, 11))]).toEqual([0x08070605, 0x0c0b0a09]);
  expect([...wordsOf(at(4, 7))]).toEqual([0x07060504]);
  expect([...wordsOf(at(8, 16), 4)]).toEqual([0x0b0a0908]);
  expect([...wordsOf(at(0, 3))]).toEqual([]);
});
