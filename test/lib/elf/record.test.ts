// Structures as plain data, with every bit.

import { expect, test } from "bun:test";
import { Ehdr } from "../../../lib/elf/ehdr.ts";
import { quantityAt, recordAt, signedAt } from "../../../lib/elf/record.ts";
import { Sym } from "../../../lib/elf/sym.ts";
import { half, viewOf, word, xword } from "./bytes.ts";
import { smallImage } from "./small-image.ts";

test("a record has the fields of the structure at an offset, whatever their widths", () => {
  const view = viewOf([0xff, 0xff], word(7), [0x12, 3], half(0xfff1), xword(2n ** 53n), xword(2 ** 53 - 1));
  expect(recordAt(Sym, view, 2)).toEqual({
    st_name: 7,
    st_info: 0x12,
    st_other: 3,
    st_shndx: 0xfff1,
    st_value: "0x20000000000000",
    st_size: 2 ** 53 - 1,
  });
});

test("a record leaves out what is no number", () => {
  const record = recordAt(Ehdr, new DataView(smallImage().bytes.buffer));
  expect(Object.keys(record)).toEqual(Object.keys(Ehdr.offsetOf).slice(1));
});

test("64 bits are a number as long as one can hold them, with a sign or without", () => {
  const cases: [bigint, string | number, string | number][] = [
    [0n, 0, 0],
    [2n ** 53n - 1n, 2 ** 53 - 1, 2 ** 53 - 1],
    [2n ** 53n, "0x20000000000000", "0x20000000000000"],
    [2n ** 63n, "0x8000000000000000", "-0x8000000000000000"],
    [2n ** 64n - 1n, "0xffffffffffffffff", -1],
    [-(2n ** 53n), "0xffe0000000000000", -(2 ** 53)],
    [-(2n ** 53n) - 1n, "0xffdfffffffffffff", "-0x20000000000001"],
  ];
  for (const [bits, unsigned, signed] of cases) {
    const view = viewOf(xword(bits));
    expect([bits, quantityAt(view, 0), signedAt(view, 0)]).toEqual([bits, unsigned, signed]);
  }
});
