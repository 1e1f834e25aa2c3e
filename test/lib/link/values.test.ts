// 64-bit values, exact where a number is not.

import { expect, test } from "bun:test";
import { fromWords, minus, plus, setValue64, type Value, value64At } from "../../../lib/link/values.ts";

const view = new DataView(new ArrayBuffer(8));
const written = (value: Value): bigint => {
  setValue64(view, 0, value);
  return view.getBigUint64(0, true);
};

test("words make a value with its sign", () => {
  expect(fromWords(5, 0)).toBe(5);
  expect(fromWords(0xfffffff8, -1)).toBe(-8);
  expect(fromWords(0, 0x1fffff)).toBe(0x1fffff * 2 ** 32);
  expect(fromWords(1, 0x200000)).toBe((0x200000n << 32n) + 1n);
  expect(fromWords(0, -0x80000000)).toBe(-(1n << 63n));
});

test("sums are modulo 2^64, and numbers again as soon as they can be", () => {
  expect(plus(2 ** 52, 2 ** 52)).toBe(1n << 53n);
  expect(minus(1n << 53n, 2 ** 52)).toBe(2 ** 52);
  expect(plus((1n << 63n) - 1n, 1)).toBe(-(1n << 63n));
  expect(minus(4, 5)).toBe(-1);
});

test.each([0, 1, -1, 2 ** 32, -(2 ** 32), 2 ** 53 - 1, -(2 ** 53 - 1), 0x7ffff7fff123, (1n << 62n) + 3n, -(1n << 63n)])(
  "%p is written and read",
  (value) => {
    expect(written(value)).toBe(BigInt.asUintN(64, BigInt(value)));
    expect(value64At(view, 0)).toBe(value);
  },
);
