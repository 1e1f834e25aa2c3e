// What well-known notes say.

import { expect, test } from "bun:test";
import { meaningOf, typeNameOf } from "../../../lib/elf/gnu-notes.ts";
import { text, word } from "./bytes.ts";

const note = (name: string, type: number, ...bytes: number[][]) => ({
  name,
  type,
  descriptor: new Uint8Array(bytes.flat()),
});
const said = (...args: Parameters<typeof note>) => [typeNameOf(note(...args)), meaningOf(note(...args))];

test("GNU's notes: system, build ID, linker", () => {
  expect(said("GNU", 1, word(0), word(3), word(2), word(0))).toEqual(["NT_GNU_ABI_TAG", "Linux 3.2.0"]);
  expect(said("GNU", 1, word(9), word(1), word(2), word(3))).toEqual(["NT_GNU_ABI_TAG", "system 9 1.2.3"]);
  expect(said("GNU", 3, [1, 0xab])).toEqual(["NT_GNU_BUILD_ID", "01ab"]);
  expect(said("GNU", 4, text("gold 1.16"))).toEqual(["NT_GNU_GOLD_VERSION", "gold 1.16"]);
});

test("properties, by name, with their flags, padded to 8 bytes", () => {
  const features = [word(0xc0000002), word(4), word(3), word(0)];
  const isa = [word(0xc0008002), word(4), word(0x12), word(0)];
  expect(said("GNU", 5, ...features, ...isa)).toEqual([
    "NT_GNU_PROPERTY_TYPE_0",
    "GNU_PROPERTY_X86_FEATURE_1_AND: IBT SHSTK; GNU_PROPERTY_X86_ISA_1_NEEDED: x86-64-v2 0x10",
  ]);
  expect(said("GNU", 5, word(2), word(0), word(0xc0000002), word(4), word(0), word(0))[1]).toBe(
    "GNU_PROPERTY_NO_COPY_ON_PROTECTED; GNU_PROPERTY_X86_FEATURE_1_AND: none",
  );
  expect(said("GNU", 5, word(0x1234), word(2), [1, 2, 0, 0, 0, 0, 0, 0])[1]).toBe("0x1234: 0102");
});

test("systemd's metadata, as text", () => {
  expect(said("FDO", 0xcafe1a7e, text('{"type":"deb"}'), [0, 0])).toEqual(["FDO_PACKAGING_METADATA", '{"type":"deb"}']);
});

test("of others the number, and nothing of what they say", () => {
  expect(said("Go", 4, text("id"))).toEqual(["0x4", undefined]);
  expect(said("GNU", 77, word(1))).toEqual(["0x4d", undefined]);
  expect(said("constructor", 1, word(1))).toEqual(["0x1", undefined]);
});

test("of those that are cut off nothing, and of properties the whole ones", () => {
  expect(said("GNU", 1, word(0), word(3), word(2))[1]).toBeUndefined();
  expect(said("GNU", 5, word(0xc0000002), word(4))[1]).toBe("");
  expect(said("GNU", 5, word(0xc0000002), word(0xffffffff), word(3))[1]).toBe("");
});
