import { describe, expect, test } from "bun:test";
import {
  addressOf,
  bytesAt,
  cString,
  ownMemory,
  pointerAt,
  setPointerAt,
  stringAt,
  u32At,
  viewAt,
} from "../../../lib/memory/live.ts";
import { add, toAddress } from "../../../lib/memory/numbers.ts";

const buffer = (...content: number[]) => {
  const bytes = new Uint8Array(4096);
  bytes.set(content);
  return bytes;
};

describe("viewAt() and bytesAt()", () => {
  test("show the memory itself: a write is seen on both sides", () => {
    const bytes = buffer(1, 2, 3);
    const view = viewAt(addressOf(bytes), 3);
    expect(view.byteLength).toBe(3);
    expect(view.getUint8(2)).toBe(3);
    view.setUint8(2, 0x7f);
    expect(bytes[2]).toBe(0x7f);
    bytes[0] = 0x11;
    expect(bytesAt(addressOf(bytes), 1)).toEqual(new Uint8Array([0x11]));
  });

  test("are empty for an empty range, and not as long as the next NUL is far", () => {
    const bytes = buffer(1, 2, 3, 0);
    expect(viewAt(addressOf(bytes), 0).byteLength).toBe(0);
    expect(bytesAt(addressOf(bytes), 0).byteLength).toBe(0);
    expect(ownMemory.view(addressOf(bytes), 0).byteLength).toBe(0);
  });

  test("touch nothing for an empty range at an address that is not mapped", () => {
    expect(viewAt(toAddress(0), 0).byteLength).toBe(0);
    expect(bytesAt(toAddress(8), 0).byteLength).toBe(0);
  });

  test("go past a NUL", () => {
    const bytes = buffer(1, 0, 2, 0, 3);
    expect(bytesAt(addressOf(bytes), 5)).toEqual(bytes.subarray(0, 5));
  });
});

describe("pointerAt()", () => {
  test("reads a user address exactly", () => {
    const bytes = buffer();
    new DataView(bytes.buffer).setBigUint64(8, 0x7fff_ffff_f123n, true);
    expect(pointerAt(add(addressOf(bytes), 8))).toBe(toAddress(0x7fff_ffff_f123));
    expect(pointerAt(addressOf(bytes))).toBe(toAddress(0));
  });

  test("is NaN for a pattern that is no user address", () => {
    const bytes = buffer(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff);
    expect(pointerAt(addressOf(bytes))).toBeNaN();
  });
});

test("u32At() reads 32 bits, without a sign", () => {
  const bytes = buffer(0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff);
  expect(u32At(addressOf(bytes))).toBe(0xfffffffe);
});

test("stringAt() reads what cString() made, as UTF-8", () => {
  const text = "libGL.so.1 → grün";
  const bytes = cString(text);
  expect(bytes.at(-1)).toBe(0);
  expect(stringAt(addressOf(bytes))).toBe(text);
});

test("setPointerAt() writes 64 bits there, and nothing beside", () => {
  const bytes = buffer(...new Array<number>(24).fill(0xee));
  const at = add(addressOf(bytes), 8);
  setPointerAt(at, 0x7f12_3456_789a);
  expect(pointerAt(at)).toBe(toAddress(0x7f12_3456_789a));
  expect([...bytes.slice(7, 17)]).toEqual([0xee, 0x9a, 0x78, 0x56, 0x34, 0x12, 0x7f, 0, 0, 0xee]);
});
