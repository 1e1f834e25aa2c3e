// The names of ELF's numbers, beside those of the C library's own header.

import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import * as constants from "../../../lib/elf/constants.ts";
import * as names from "../../../lib/elf/names.ts";

const header = readFileSync("/usr/include/elf.h", "utf8");

/** What <elf.h> defines with that prefix, by name. */
function defined(prefix: string): Map<string, number> {
  const pattern = new RegExp(`^#define\\s+(${prefix}\\w+)\\s+(0x[0-9a-f]+|\\d+|\\(1U? << \\d+\\))(?:\\s|$)`, "gmi");
  return new Map(
    Array.from(header.matchAll(pattern), ([, name = "", text = ""]) => {
      const shift = /<< (\d+)/.exec(text)?.[1];
      return [name, shift === undefined ? Number(text) : 2 ** Number(shift)];
    }),
  );
}

const TABLES: readonly [prefix: string, table: names.Names][] = [
  ["ET_", names.OBJECT_TYPES],
  ["ELFOSABI_", names.OS_ABIS],
  ["PT_", names.SEGMENT_TYPES],
  ["SHT_", names.SECTION_TYPES],
  ["SHF_", names.SECTION_FLAGS],
  ["DT_", names.TAGS],
  ["DF_(?!1_|P1_)", names.FLAGS],
  ["DF_1_", names.FLAGS_1],
  ["VER_FLG_", names.VERSION_FLAGS],
  ["R_X86_64_", names.RELOCATION_TYPES],
  ["NT_GNU_", names.GNU_NOTE_TYPES],
];

/** Later than the header of glibc 2.31, or of no header at all. */
const LATER = /GNU_SFRAME|SHT_RELR|DT_RELR|DT_X86_64|SHF_X86_64_LARGE|SHT_X86_64_UNWIND|SHF_GNU_RETAIN|PT_GNU_PROPERTY/;
/** Ends of ranges and counts; other machines' and other systems' numbers. */
const NO_NAMES =
  /_(LO|HI)(OS|PROC|USER|SUNW|RESERVE)$|_NUM$|RNG|SUNW|MASK|NUM$|DT_ENCODING|_(ARM|AARCH64|ALPHA|PPC|PPC64|PARISC|HP|IA_64|MIPS|SPARC|NIOS2|RISCV|CSKY)_|ELFOSABI_(NONE|LINUX|ARM|STANDALONE)|SHT_MIPS|SHF_MIPS/;

describe("names are those of <elf.h>:", () => {
  test.each(TABLES)("%s", (prefix, table) => {
    const theirs = defined(prefix);
    expect(theirs.size).toBeGreaterThan(1);
    const wrong = [...table].filter(([value, name]) => theirs.get(name) !== value && !LATER.test(name));
    expect(wrong).toEqual([]);
    const missing = [...theirs].filter(([name, value]) => !NO_NAMES.test(name) && table.get(value) !== name);
    expect(missing).toEqual([]);
  });

  test("and of the constants that the reader goes by", () => {
    const all = new Map(TABLES.flatMap(([, table]) => [...table].map(([value, name]) => [name, value])));
    const prefix = /^(PT|PF|DT|DF|DF_1|SHT|R_X86_64|VER_FLG|NT)_/;
    const ours = Object.entries(constants).filter(([name]) => prefix.test(name) && !name.startsWith("PF_"));
    expect(ours.length).toBeGreaterThan(60);
    expect(ours.filter(([name, value]) => all.get(name) !== value)).toEqual([]);
  });
});

test("constants have the values of <elf.h>", () => {
  const theirs = defined("(?!ELF_)");
  const known = Object.entries(constants).filter(([name]) => theirs.has(name));
  expect(known.length).toBeGreaterThan(120);
  expect(known.filter(([name, value]) => theirs.get(name) !== value)).toEqual([]);
});

test("what has no name is shown by its number", () => {
  expect(names.nameOf(names.TAGS, 1)).toBe("DT_NEEDED");
  expect(names.nameOf(names.TAGS, 0x60000000)).toBe("0x60000000");
  expect(names.flagsOf(names.FLAGS_1, 0x08000001)).toEqual(["DF_1_NOW", "DF_1_PIE"]);
  expect(names.flagsOf(names.FLAGS, 0)).toEqual([]);
  expect(names.flagsOf(new Map([[2, "TWO"]]), 3)).toEqual(["TWO", "0x1"]);
  expect(names.flagsOf(names.FLAGS, 2 ** 40 + 0x8 + 0x20)).toEqual(["DF_BIND_NOW", "0x10000000020"]);
});
