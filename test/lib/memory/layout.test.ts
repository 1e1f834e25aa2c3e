import { describe, expect, test } from "bun:test";
import {
  bytes,
  i64,
  layout,
  readU64,
  readWrapping,
  u8,
  u16,
  u32,
  u64,
  u64bits,
  writeU64,
} from "../../../lib/memory/layout.ts";

const viewOf = (...content: number[]) => new DataView(new Uint8Array(content).buffer);

const Everything = layout("Everything", {
  one: u8,
  two: u16,
  four: u32,
  eight: u64(),
  signed: i64,
  pattern: u64bits,
  name: bytes(3),
});

describe("layout()", () => {
  test("places the fields in their order, without padding", () => {
    expect(Everything.name).toBe("Everything");
    expect(Everything.size).toBe(1 + 2 + 4 + 8 + 8 + 8 + 3);
    expect(Everything.offsetOf).toEqual({ one: 0, two: 1, four: 3, eight: 7, signed: 15, pattern: 23, name: 31 });
  });

  test("reads little-endian", () => {
    const struct = Everything.at(
      viewOf(
        ...[0x01],
        ...[0x02, 0x03],
        ...[0x04, 0x05, 0x06, 0x87],
        ...[0x78, 0x56, 0x34, 0x12, 0xff, 0x7f, 0x00, 0x00],
        ...[0xfc, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        ...[0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x80],
        ...[0x61, 0x62, 0x63],
      ),
    );
    expect(struct.one).toBe(1);
    expect(struct.two).toBe(0x0302);
    expect(struct.four).toBe(0x87060504);
    expect(struct.eight).toBe(0x7fff_1234_5678);
    expect(struct.signed).toBe(-4);
    expect(struct.pattern).toBe(0x8000_0000_0000_0001n);
    expect(struct.name).toEqual(new Uint8Array([0x61, 0x62, 0x63]));
  });

  test("reads back what it wrote, and writes nothing beside it", () => {
    const view = new DataView(new Uint8Array(Everything.size + 2).fill(0xee).buffer);
    const struct = Everything.at(view, 1);
    struct.one = 0xff;
    struct.two = 0xfffe;
    struct.four = 0xfffffffd;
    struct.eight = 0x7ffd_1234_5678;
    struct.signed = -(2 ** 40);
    struct.pattern = -1n;
    struct.name = new Uint8Array([7, 8, 9]);
    expect(struct.one).toBe(0xff);
    expect(struct.two).toBe(0xfffe);
    expect(struct.four).toBe(0xfffffffd);
    expect(struct.eight).toBe(0x7ffd_1234_5678);
    expect(struct.signed).toBe(-(2 ** 40));
    expect(struct.pattern).toBe(0xffff_ffff_ffff_ffffn);
    expect(struct.name).toEqual(new Uint8Array([7, 8, 9]));
    expect(view.getUint8(0)).toBe(0xee);
    expect(view.getUint8(Everything.size + 1)).toBe(0xee);
  });

  test("reads lazily: a change of the bytes shows in a structure that exists", () => {
    const view = viewOf(1, 0);
    const struct = layout("Half", { value: u16 }).at(view);
    view.setUint16(0, 0xbeef, true);
    expect(struct.value).toBe(0xbeef);
  });

  test("counts from the view's own start, not the buffer's", () => {
    const view = new DataView(new Uint8Array([9, 9, 1, 2, 3]).buffer, 2);
    const struct = layout("Pair", { first: u8, rest: bytes(2) }).at(view);
    expect(struct.first).toBe(1);
    expect(struct.rest).toEqual(new Uint8Array([2, 3]));
  });
});

describe("64 bits as a number", () => {
  const largest = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x1f, 0x00];

  test("are exact up to 53 bits", () => {
    expect(readU64(viewOf(...largest), 0)).toBe(Number.MAX_SAFE_INTEGER);
  });

  test("are Infinity beyond, which no bounds check lets pass", () => {
    const beyond = readU64(viewOf(0, 0, 0, 0, 0, 0, 0x20, 0x00), 0);
    expect(beyond).toBe(Number.POSITIVE_INFINITY);
    expect(readU64(viewOf(0, 0, 0x60, 0xff, 0xff, 0xff, 0xff, 0xff), 0)).toBe(Number.POSITIVE_INFINITY);
    expect(beyond + 1 <= Number.MAX_SAFE_INTEGER).toBe(false);
  });

  test("lead back where they are added modulo 2^64, and are written so, too", () => {
    const view = viewOf(0xf0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff);
    expect(readWrapping(view, 0)).toBe(-16);
    for (const value of [-16, -(2 ** 32) - 5, -(2 ** 47), 2 ** 47, 0]) {
      writeU64(view, 0, value);
      expect(readWrapping(view, 0)).toBe(value);
      expect(view.getBigUint64(0, true)).toBe(BigInt.asUintN(64, BigInt(value)));
    }
    expect(readWrapping(viewOf(0, 0, 0, 0, 0, 0, 0, 0x80), 0)).toBe(Number.POSITIVE_INFINITY);
  });

  test("are written as they are read", () => {
    const view = viewOf(0, 0, 0, 0, 0, 0, 0, 0);
    writeU64(view, 0, Number.MAX_SAFE_INTEGER);
    expect([...new Uint8Array(view.buffer)]).toEqual(largest);
  });

  test("have a sign where the declaration says so", () => {
    const Signed = layout("Signed", { value: i64 });
    expect(Signed.at(viewOf(0, 0, 0, 0, 0, 0, 0, 0x80)).value).toBe(-(2 ** 63));
    expect(Signed.at(viewOf(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)).value).toBe(-1);
    expect(Signed.at(viewOf(0xf5, 0xfe, 0xff, 0x6f, 0, 0, 0, 0)).value).toBe(0x6ffffef5);
    expect(Object.is(Signed.at(viewOf(0, 0, 0, 0, 0, 0, 0, 0)).value, 0)).toBe(true);
  });
});
