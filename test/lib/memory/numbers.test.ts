import { describe, expect, test } from "bun:test";
import { add, alignDown, alignUp, hex, isPowerOfTwo, toAddress, toVaddr } from "../../../lib/memory/numbers.ts";

describe("alignDown() and alignUp()", () => {
  test("keep the high half of an address, where a bit operator would lose it", () => {
    const address = toAddress(0x7f00_0000_1234);
    expect(alignDown(address, 4096)).toBe(toAddress(0x7f00_0000_1000));
    expect(alignUp(address, 4096)).toBe(toAddress(0x7f00_0000_2000));
  });

  test("leave what is aligned already", () => {
    expect(alignDown(toVaddr(0x2000), 4096)).toBe(toVaddr(0x2000));
    expect(alignUp(toVaddr(0x2000), 4096)).toBe(toVaddr(0x2000));
    expect(alignUp(toVaddr(0), 4096)).toBe(toVaddr(0));
  });

  test("take any alignment, also one that is no power of two", () => {
    expect(alignDown(toVaddr(10), 3)).toBe(toVaddr(9));
    expect(alignUp(toVaddr(10), 3)).toBe(toVaddr(12));
    expect(alignUp(toVaddr(10), 1)).toBe(toVaddr(10));
  });
});

test("add() steps over the 32-bit border", () => {
  expect(add(toAddress(0xffff_ffff), 1)).toBe(toAddress(0x1_0000_0000));
  expect(add(toAddress(0x1_0000_0000), -1)).toBe(toAddress(0xffff_ffff));
});

test("hex() writes numbers and bigints as messages have them", () => {
  expect(hex(0x7ffd_95979000)).toBe("0x7ffd95979000");
  expect(hex(0xffff_ffff_ff60_0000n)).toBe("0xffffffffff600000");
});

test("isPowerOfTwo() is true for no number between them, and none that is not counted exactly", () => {
  const powers = [1, 2, 4, 4096, 2 ** 31, 2 ** 32, 2 ** 52];
  expect(powers.filter((value) => !isPowerOfTwo(value))).toEqual([]);
  const others = [
    0,
    -1,
    -2,
    3,
    6,
    4095,
    4097,
    2 ** 32 + 1,
    0.5,
    2 ** 53,
    2 ** 60,
    Number.POSITIVE_INFINITY,
    Number.NaN,
  ];
  expect(others.filter(isPowerOfTwo)).toEqual([]);
});
