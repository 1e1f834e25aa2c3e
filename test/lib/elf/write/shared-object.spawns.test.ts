// The two steps of writing, and objects with symbols of one's own.

import { afterAll, describe, expect, test } from "bun:test";
import { checkFile } from "../../../../lib/elf/check.ts";
import {
  DT_NEEDED,
  DT_NULL,
  DT_SONAME,
  DT_STRSZ,
  DT_STRTAB,
  DT_SYMENT,
  DT_SYMTAB,
  PF_R,
  PF_W,
  PF_X,
  PT_DYNAMIC,
  PT_GNU_STACK,
  PT_LOAD,
  SHN_ABS,
  STB_GLOBAL,
  STT_FUNC,
} from "../../../../lib/elf/constants.ts";
import { openImage } from "../../../../lib/elf/file.ts";
import { bindingOf, typeOf } from "../../../../lib/elf/sym.ts";
import { emitSharedObject, planSharedObject } from "../../../../lib/elf/write/shared-object.ts";
import { symbolObject } from "../../../../lib/elf/write/symbol-object.ts";
import { PAGE_SIZE, toAddress, toVaddr } from "../../../../lib/memory/numbers.ts";
import { Scratch } from "../scratch.ts";
import { expectSameByElfinfo, readelf, symbolsByReadelf } from "./parse.ts";

const scratch = new Scratch();
afterAll(() => scratch[Symbol.dispose]());

const parts = { verdefCount: 0, soname: 1, needed: [], zeroPages: 0 };

describe("planSharedObject()", () => {
  const tables = [5, 1, 0, 16, 5000].map((size, i) => ({
    tag: [DT_SYMTAB, DT_STRTAB, 4, 5, 6][i] ?? 0,
    bytes: new Uint8Array(size),
  }));

  test("puts tables behind the headers, in order, aligned, none into another", () => {
    const plan = planSharedObject({ ...parts, tables });
    let end = 64 + 5 * 56;
    for (const { at, bytes } of plan.tables) {
      expect(at % 8).toBe(0);
      expect(at as number).toBeGreaterThanOrEqual(end);
      expect(at - end).toBeLessThan(8);
      end = at + bytes.length;
    }
    expect(plan.dynamicAt % PAGE_SIZE).toBe(0);
    expect(plan.dynamicAt).toBeGreaterThanOrEqual(end);
  });

  test("puts nothing of the file onto the zero pages", () => {
    for (const zeroPages of [0, 1, 7]) {
      const plan = planSharedObject({ ...parts, tables, zeroPages });
      expect(plan.zeroAt % PAGE_SIZE).toBe(0);
      expect(plan.zeroAt as number).toBeGreaterThanOrEqual(plan.size);
      expect(plan.zeroSize).toBe(zeroPages * PAGE_SIZE);
    }
  });

  test("lists sizes beside the tables that need one, and ends with DT_NULL", () => {
    const plan = planSharedObject({
      ...parts,
      tables: tables.slice(0, 2),
      needed: [3, 4],
      zeroPages: 1,
    });
    expect(plan.dynamic).toEqual([
      [DT_SONAME, 1],
      [DT_NEEDED, 3],
      [DT_NEEDED, 4],
      [DT_SYMTAB, plan.tables[0]?.at ?? 0],
      [DT_SYMENT, 24],
      [DT_STRTAB, plan.tables[1]?.at ?? 0],
      [DT_STRSZ, 1],
      [DT_NULL, 0],
    ]);
    expect(plan.size).toBe(plan.dynamicAt + 16 * plan.dynamic.length);
  });
});

describe("emitSharedObject()", () => {
  const plan = planSharedObject({ ...parts, tables: [{ tag: DT_STRTAB, bytes: Uint8Array.of(1, 2, 3) }] });

  test("writes what was planned where it was planned", () => {
    const bytes = emitSharedObject(plan);
    expect(bytes.length).toBeGreaterThan(plan.size);
    const at = plan.tables[0]?.at ?? 0;
    expect(bytes.subarray(at, at + 4)).toEqual(Uint8Array.of(1, 2, 3, 0));
  });

  test("refuses a plan in which one thing lies on another", () => {
    const table = { tag: DT_STRTAB, bytes: new Uint8Array(8), at: toVaddr(64) };
    expect(() => emitSharedObject({ ...plan, tables: [table] })).toThrow("overlaps");
    const late = { ...table, bytes: new Uint8Array(PAGE_SIZE), at: toVaddr(1024) };
    expect(() => emitSharedObject({ ...plan, tables: [late], size: plan.size + PAGE_SIZE })).toThrow(
      "its dynamic section overlaps its tables",
    );
  });
});

describe("symbolObject()", () => {
  const functions = new Map([
    ["red", { address: toAddress(0x7f12_3456_789a) }],
    ["green", { zeroPageOffset: 40 }],
    ["żółty", { address: toAddress(0x1000) }],
  ]);
  const needed = ["libc.so.6", "/opt/żółw/lib.so"];
  const { bytes, plan } = symbolObject({ soname: "libown.so.1", needed, functions, zeroPages: 2 });
  const path = scratch.write("libown.so.1", bytes);

  test("has a soname, its dependencies, and functions that are found", () => {
    using image = openImage(path);
    expect(image.soname).toBe("libown.so.1");
    expect(image.needed).toEqual(needed);
    const found = [...functions.keys()].map((name) => image.symbols.at(image.findReferenced(name, "ANY_VERSION") ?? 0));
    expect(found.map(({ st_value }): number => st_value)).toEqual([0x7f12_3456_789a, plan.zeroAt + 40, 0x1000]);
    expect(found.map((sym) => [bindingOf(sym), typeOf(sym)])).toEqual(found.map(() => [STB_GLOBAL, STT_FUNC]));
    expect(found.map(({ st_shndx }) => st_shndx === SHN_ABS)).toEqual([true, false, true]);
    expect(image.find("blue")).toBeUndefined();
  });

  test("is three segments, of which none is executable and no two lie on one page", () => {
    using image = openImage(path);
    expect(image.phdrs.map(({ p_type, p_flags }) => [p_type, p_flags])).toEqual([
      [PT_LOAD, PF_R],
      [PT_LOAD, PF_R | PF_W],
      [PT_LOAD, PF_R | PF_W],
      [PT_DYNAMIC, PF_R | PF_W],
      [PT_GNU_STACK, PF_R | PF_W],
    ]);
    for (const { p_flags } of image.phdrs) expect(p_flags & PF_X).toBe(0);
    for (const { p_vaddr } of image.loads) expect(p_vaddr % PAGE_SIZE).toBe(0);
    expect(image.end as number).toBe(plan.zeroAt + 2 * PAGE_SIZE);
  });

  test("holds together, by readelf and by elfinfo too", async () => {
    using image = openImage(path);
    readelf(path, "-a");
    expect(symbolsByReadelf(path).map(({ name, section }) => [name, section])).toEqual([
      ["", "UND"],
      ["red", "ABS"],
      ["green", "1"],
      ["żółty", "ABS"],
    ]);
    await expectSameByElfinfo(image);
  });

  test("may have no symbols and no dependencies", () => {
    const { bytes } = symbolObject({ soname: "libempty.so" });
    const empty = scratch.write("libempty.so", bytes);
    using image = openImage(empty);
    expect([image.soname, image.needed, image.symbols.length]).toEqual(["libempty.so", [], 1]);
    expect(image.find("red")).toBeUndefined();
    checkFile(empty);
  });

  test("has a hundred functions in one chain", () => {
    const many = new Map(Array.from({ length: 100 }, (_, i) => [`f${i}`, { address: toAddress(0x1000 + i) }]));
    const large = scratch.write("libmany.so", symbolObject({ soname: "libmany.so", functions: many }).bytes);
    checkFile(large);
    using image = openImage(large);
    for (const [name, { address }] of many)
      expect(image.symbols.at(image.find(name) ?? 0).st_value as number).toBe(address);
  });
});
