// Section headers: readelf agrees on those of real files (test/real/readers.test.ts); here are odd ones.

import { afterAll, expect, test } from "bun:test";
import { readEhdr } from "../../../lib/elf/ehdr.ts";
import { FileBytes } from "../../../lib/elf/file.ts";
import { readSections } from "../../../lib/elf/sections.ts";
import { Shdr } from "../../../lib/elf/shdr.ts";
import { toOffset } from "../../../lib/memory/numbers.ts";
import { faultOf, half, text, word, xword } from "./bytes.ts";
import { Scratch } from "./scratch.ts";
import { smallImage } from "./small-image.ts";

const scratch = new Scratch();
afterAll(() => scratch[Symbol.dispose]());

const { bytes: small } = smallImage();
const NAMES = [...text(""), ...text(".names"), 0];

const shdr = (name: number, type: number, offset: number, size: number | bigint, link = 0): number[] => [
  ...[word(name), word(type), xword(0), xword(0), xword(offset), xword(size)].flat(),
  ...[word(link), word(0), xword(1), xword(0)].flat(),
];

/** The small image with two sections behind it: none, and the one with the names; and what the header says of them. */
function withSections(
  header: { entry?: number; count?: number; names?: number; at?: number },
  first = shdr(0, 0, 0, 0),
) {
  const { entry = 64, count = 2, names = 1, at = small.length + NAMES.length } = header;
  const second = shdr(1, 3, small.length, NAMES.length - 1);
  const bytes = Buffer.from([...small, ...NAMES, ...first, ...second]);
  bytes.set(xword(at), 40);
  bytes.set([...half(entry), ...half(count), ...half(names)], 58);
  return scratch.write("sections", bytes);
}

function namesIn(path: string): (string | undefined)[] | undefined {
  using file = new FileBytes(path);
  const table = readSections(file, readEhdr(path, file.view(toOffset(0), 64, "ELF header")));
  return (
    table && Array.from({ length: table.length }, (_, i) => table.names?.at(Shdr.at(table.view, i * Shdr.size).sh_name))
  );
}

test("a header is 64 bytes", () => {
  expect(Shdr.size).toBe(64);
});

test("sections have names, none, or there are no sections", () => {
  expect(namesIn(withSections({}))).toEqual(["", ".names"]);
  expect(namesIn(withSections({ names: 0 }))).toEqual([undefined, undefined]);
  expect(namesIn(withSections({ at: 0 }))).toBeUndefined();
});

test("what 16 bits cannot say is in the first header", () => {
  expect(namesIn(withSections({ count: 0, names: 0xffff }, shdr(0, 0, 0, 2, 1)))).toEqual(["", ".names"]);
});

test("a fault is told", () => {
  const fault = (...args: Parameters<typeof withSections>) => faultOf(() => namesIn(withSections(...args))).fault;
  expect(fault({ entry: 40 })).toBe("e_shentsize is 40, not 64");
  expect(fault({ count: 3 })).toContain("reach beyond the end of the file");
  expect(fault({ at: 1 << 30 })).toContain("reach beyond the end of the file");
  expect(fault({ names: 2 })).toBe("e_shstrndx is 2, and there are 2 sections");
  expect(fault({ count: 0 }, shdr(0, 0, 0, 2n ** 60n))).toContain("beyond the end of the file");
});
