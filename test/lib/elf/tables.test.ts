// The smaller tables: dynamic section, strings, symbols, relocations, notes.

import { describe, expect, test } from "bun:test";
import { Dyn, Dynamic } from "../../../lib/elf/dyn.ts";
import { Ehdr } from "../../../lib/elf/ehdr.ts";
import { Nhdr, readNotes } from "../../../lib/elf/notes.ts";
import { Phdr } from "../../../lib/elf/phdr.ts";
import { Rela, RelaTable } from "../../../lib/elf/rela.ts";
import { relrSlots } from "../../../lib/elf/relr.ts";
import { StringTable } from "../../../lib/elf/strings.ts";
import { bindingOf, isExported, Sym, SymbolTable, typeOf } from "../../../lib/elf/sym.ts";
import { Verdaux, Verdef, Vernaux, Verneed } from "../../../lib/elf/versions.ts";
import type { Vaddr } from "../../../lib/memory/numbers.ts";
import { faultOf, half, text, viewOf, word, xword } from "./bytes.ts";
import { plain } from "./everything.ts";

test("structures have the sizes of the specification", () => {
  const sizes = [Ehdr, Phdr, Sym, Rela, Dyn, Verdef, Verdaux, Verneed, Vernaux, Nhdr].map(({ name, size }) => [
    name,
    size,
  ]);
  expect(sizes).toEqual([
    ["Elf64_Ehdr", 64],
    ["Elf64_Phdr", 56],
    ["Elf64_Sym", 24],
    ["Elf64_Rela", 24],
    ["Elf64_Dyn", 16],
    ["Elf64_Verdef", 20],
    ["Elf64_Verdaux", 8],
    ["Elf64_Verneed", 16],
    ["Elf64_Vernaux", 16],
    ["Elf64_Nhdr", 12],
  ]);
});

const strings = (...content: number[][]): StringTable => {
  const view = viewOf(...content);
  return new StringTable("libtest.so", view.byteLength, (offset, length) => new DataView(view.buffer, offset, length));
};

describe("Dynamic", () => {
  const entry = (tag: number | bigint, value: number | bigint) => [...xword(tag), ...xword(value)];

  test("keeps order, values and positions, up to DT_NULL", () => {
    const dynamic = new Dynamic(viewOf(entry(1, 10), entry(5, 0x400), entry(1, 20), entry(0, 7), entry(14, 99)));
    expect(dynamic.entries).toEqual([
      { tag: 1, value: 10, at: 0 },
      { tag: 5, value: 0x400, at: 16 },
      { tag: 1, value: 20, at: 32 },
    ]);
    expect(dynamic.all(1)).toEqual([10, 20]);
    expect(dynamic.all(14)).toEqual([]);
    expect(dynamic.get(14)).toBeUndefined();
  });

  test("lets the last one of a tag win, as ld.so does", () => {
    expect(new Dynamic(viewOf(entry(5, 1), entry(5, 2))).get(5)).toBe(2);
  });

  test("ends with its bytes where DT_NULL is missing, also within an entry", () => {
    expect(new Dynamic(viewOf(entry(1, 10), xword(1))).all(1)).toEqual([10]);
    expect(new Dynamic(viewOf()).entries).toEqual([]);
  });

  test("takes no tag of the upper half for one of ours", () => {
    const dynamic = new Dynamic(viewOf(entry(2n ** 32n + 1n, 10), entry(-1, 11), entry(2n ** 63n + 5n, 12)));
    expect(dynamic.get(1)).toBeUndefined();
    expect(dynamic.get(5)).toBeUndefined();
    expect(dynamic.get(-1)).toBe(11);
  });

  test("reads a value that is no number as Infinity", () => {
    expect(new Dynamic(viewOf(entry(5, -1))).get(5)).toBe(Number.POSITIVE_INFINITY);
  });
});

describe("StringTable", () => {
  test("gives the string at an offset, also one within another", () => {
    const table = strings(text(""), text("libGL.so.1"), text("naïve"));
    expect(table.at(0)).toBe("");
    expect(table.at(1)).toBe("libGL.so.1");
    expect(table.at(6)).toBe(".so.1");
    expect(table.at(12)).toBe("naïve");
  });

  test("gives strings of every length, whether it has been read as a whole or not", () => {
    const long = ["x".repeat(254), "y".repeat(255), "z".repeat(256), "w".repeat(5000)];
    const offsets = [0, 255, 511, 768];
    const table = strings(...long.map(text));
    for (const _ of ["piece by piece", "as a whole"]) {
      expect(offsets.map((offset) => table.at(offset))).toEqual(long);
      expect(table.bytes).toHaveLength(5769);
    }
  });

  test("gives an empty string at the start, also when it has been read as a whole", () => {
    const table = strings(text(""), text("a"));
    expect(table.bytes).toHaveLength(3);
    expect(table.at(0)).toBe("");
  });

  test("knows whether a string is at an offset, whether it has been read as a whole or not", () => {
    const table = strings(text(""), text("red"), text("redder"), text("z"));
    const is = (offset: number, name: string) => table.isAt(offset, new TextEncoder().encode(name));
    const all = () => [
      ...[is(0, ""), is(1, "red"), is(5, "redder"), is(8, "der"), is(4, ""), is(12, "z")],
      ...[is(0, "r"), is(1, "re"), is(1, "redd"), is(5, "red"), is(1, "rid"), is(12, "zz"), is(12, "")],
    ];
    const expected = [...new Array(6).fill(true), ...new Array(7).fill(false)];
    expect(all()).toEqual(expected);
    expect(table.bytes).toHaveLength(14);
    expect(all()).toEqual(expected);
    expect(faultOf(() => is(14, "z")).fault).toBe("offset 14 is beyond its 14 bytes");
  });

  test("reads no more than a piece for one string", () => {
    const lengths: number[] = [];
    const table = new StringTable("libtest.so", 1 << 20, (_, length) => {
      lengths.push(length);
      return viewOf(text("libGL.so.1"));
    });
    expect(table.at(70_000)).toBe("libGL.so.1");
    expect(lengths).toEqual([256]);
  });

  test("throws for an offset outside", () => {
    const table = strings(text("abc"));
    for (const offset of [4, 0xffffffff, Number.POSITIVE_INFINITY, Number.NaN])
      expect(faultOf(() => table.at(offset))).toMatchObject({ path: "libtest.so", structure: "string table" });
    expect(faultOf(() => table.at(4)).fault).toBe("offset 4 is beyond its 4 bytes");
    expect(faultOf(() => strings().at(0)).fault).toBe("offset 0 is beyond its 0 bytes");
  });

  test("throws for a string without end, short or long", () => {
    expect(faultOf(() => strings(text("abc"), [0x64, 0x65]).at(4)).fault).toBe("the string at offset 4 has no end");
    expect(faultOf(() => strings([...text("abc"), ...new Array<number>(600).fill(0x64)]).at(4)).fault).toContain(
      "no end",
    );
  });
});

describe("SymbolTable", () => {
  const table = new SymbolTable(
    viewOf(
      ...[word(0), [0, 0], half(0), xword(0), xword(0)],
      ...[word(1), [0x12, 0], half(0), xword(0), xword(0)], // GLOBAL FUNC, undefined
      ...[word(6), [0x2a, 3], half(0xfff1), xword(0x7f00_1234_5678), xword(0x1_0000_0000)], // WEAK IFUNC, SHN_ABS
      ...[word(6), [0x01, 0], half(7), xword(8), xword(4)], // LOCAL OBJECT
      [1, 2, 3], // less than a symbol
    ),
    strings(text(""), text("puts"), text("glClear")),
  );

  test("reads every field, and the name", () => {
    expect(table).toHaveLength(4);
    const sym = table.at(2);
    expect(plain(Sym, sym)).toEqual({
      st_name: 6,
      st_info: 0x2a,
      st_other: 3,
      st_shndx: 0xfff1,
      st_value: 0x7f00_1234_5678 as Vaddr,
      st_size: 0x1_0000_0000,
    });
    expect(table.nameOf(sym)).toBe("glClear");
    expect([bindingOf(sym), typeOf(sym)]).toEqual([2, 10]);
  });

  test("reads a field by itself as in the whole symbol", () => {
    const indexes = [0, 1, 2, 3];
    const syms = indexes.map((index) => table.at(index));
    const all = (read: (symbol: number) => unknown) => indexes.map(read);
    expect(all((i) => table.type(i))).toEqual(syms.map(typeOf));
    expect(all((i) => table.binding(i))).toEqual(syms.map(bindingOf));
    expect(all((i) => table.visibility(i))).toEqual([0, 0, 3, 0]);
    expect(all((i) => table.section(i))).toEqual(syms.map(({ st_shndx }) => st_shndx));
    expect(all((i) => table.hasValue(i))).toEqual([false, false, true, true]);
    expect(all((i) => new TextDecoder().decode(table.nameBytes(i)))).toEqual(["", "puts", "glClear", "glClear"]);
    const names = ["", "puts", "glClear", "glClea", "glClears"].map((name) => new TextEncoder().encode(name));
    expect(all((i) => names.map((name) => table.hasName(i, name)))).toEqual([
      [true, false, false, false, false],
      [false, true, false, false, false],
      [false, false, true, false, false],
      [false, false, true, false, false],
    ]);
  });

  test("has a value in either half", () => {
    const sym = (value: bigint) => [...word(0), 0, 0, ...half(1), ...xword(value), ...xword(0)];
    const values = new SymbolTable(viewOf(sym(1n), sym(1n << 32n), sym(0n)), strings(text("")));
    expect([0, 1, 2].map((i) => values.hasValue(i))).toEqual([true, true, false]);
  });

  test("is iterable", () => {
    expect(Array.from(table, (sym) => table.nameOf(sym))).toEqual(["", "puts", "glClear", "glClear"]);
  });

  test("exports what is defined and not local", () => {
    expect(Array.from(table, isExported)).toEqual([false, false, true, false]);
  });

  test("throws for an index beyond it", () => {
    for (const index of [4, 0xffffffff, Number.NaN])
      expect(faultOf(() => table.at(index))).toMatchObject({ path: "libtest.so", structure: "symbol table" });
  });
});

describe("RelaTable", () => {
  test("reads type, symbol and a negative addend", () => {
    const table = new RelaTable(
      viewOf(
        ...[xword(0x3fe0), word(7), word(0x80000001), xword(0)], // JUMP_SLOT
        ...[xword(0x4000), word(1), word(2), xword(-16)], // 64
        [0, 0, 0], // less than an entry
      ),
    );
    expect(table).toHaveLength(2);
    expect(Array.from(table, (rela) => plain(Rela, rela))).toEqual([
      { r_offset: 0x3fe0 as Vaddr, r_type: 7, r_sym: 0x80000001, r_addend: 0 },
      { r_offset: 0x4000 as Vaddr, r_type: 1, r_sym: 2, r_addend: -16 },
    ]);
    expect(table.at(1).r_addend).toBe(-16);
  });
});

describe("relrSlots()", () => {
  const slots = (...words: (number | bigint)[]) => [...relrSlots(viewOf(...words.map(xword)))] as number[];

  test("yields an address, then what the bitmaps behind it say", () => {
    expect(slots(0x1000)).toEqual([0x1000]);
    // bit 1 is the slot behind the address, bit 63 the 63rd
    expect(slots(0x1000, 0b1011)).toEqual([0x1000, 0x1008, 0x1018]);
    expect(slots(0x1000, (1n << 63n) | 1n)).toEqual([0x1000, 0x1008 + 62 * 8]);
  });

  test("goes on 63 slots later with the next bitmap, also after an empty one", () => {
    expect(slots(0x1000, 1, 0b11)).toEqual([0x1000, 0x1008 + 63 * 8]);
    expect(slots(0x1000, 0b11, 0b11, 0x9000, 0b11)).toEqual([0x1000, 0x1008, 0x1008 + 63 * 8, 0x9000, 0x9008]);
  });

  test("yields all 63 slots of a full bitmap", () => {
    expect(slots(0, -1)).toEqual(Array.from({ length: 64 }, (_, i) => 8 * i));
  });

  test("leaves an incomplete word at the end", () => {
    expect([...relrSlots(viewOf(xword(0x1000), [3, 0, 0]))] as number[]).toEqual([0x1000]);
    expect(slots()).toEqual([]);
  });
});

describe("readNotes()", () => {
  const read = (...bytes: number[][]) =>
    Array.from(readNotes(viewOf(...bytes)), ({ name, type, descriptor }) => ({
      name,
      type,
      descriptor: [...descriptor],
    }));
  const abiTag = [word(4), word(4), word(1), text("GNU"), word(0)];

  test("reads name, type and descriptor, each padded to 4 bytes", () => {
    const odd = [word(6), word(5), word(77), [...text("Hello"), 0, 0], [1, 2, 3, 4, 5, 0, 0, 0]];
    expect(read(...odd, ...abiTag)).toEqual([
      { name: "Hello", type: 77, descriptor: [1, 2, 3, 4, 5] },
      { name: "GNU", type: 1, descriptor: [0, 0, 0, 0] },
    ]);
  });

  test("reads a note without name and descriptor", () => {
    expect(read(word(0), word(0), word(3))).toEqual([{ name: "", type: 3, descriptor: [] }]);
  });

  test("does not lose a last note whose padding is cut off", () => {
    expect(read(word(4), word(5), word(3), text("GNU"), [1, 2, 3, 4, 5])).toEqual([
      { name: "GNU", type: 3, descriptor: [1, 2, 3, 4, 5] },
    ]);
  });

  test("stops at the first note that its segment cuts off", () => {
    const [sound, ...rest] = [[...abiTag.flat()], ...abiTag];
    const bytes = [...(sound ?? []), ...rest.flat()];
    for (let length = 0; length < bytes.length; length++)
      expect(read(bytes.slice(0, length))).toHaveLength(length < bytes.length / 2 ? 0 : 1);
  });

  test("stops at absurd sizes", () => {
    expect(read(word(0xffffffff), word(0), word(1), text("GNU"))).toEqual([]);
    expect(read(word(4), word(0xfffffffd), word(1), text("GNU"))).toEqual([]);
    expect(read(word(0xffffffff), word(0xffffffff), word(1), text("GNU"))).toEqual([]);
  });
});
