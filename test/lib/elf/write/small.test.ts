// What we write of one small library, read back: it can be looked up as in the library itself. The other tests here
// have tools and glibc read what is written of real ones.

import { afterAll, describe, expect, test } from "bun:test";
import { checkFile } from "../../../../lib/elf/check.ts";
import { PT_DYNAMIC, SHN_ABS, SHN_UNDEF, STT_FUNC, STT_OBJECT } from "../../../../lib/elf/constants.ts";
import { type FileImage, openImage } from "../../../../lib/elf/file.ts";
import { readSections } from "../../../../lib/elf/sections.ts";
import { Shdr } from "../../../../lib/elf/shdr.ts";
import { bindingOf, isExported, typeOf } from "../../../../lib/elf/sym.ts";
import { sysvHash } from "../../../../lib/elf/sysv-hash.ts";
import { mirrorOf } from "../../../../lib/elf/write/mirror.ts";
import { openableCopy } from "../../../../lib/elf/write/openable.ts";
import { placeholderOf } from "../../../../lib/elf/write/placeholder.ts";
import { NOWHERE, stubLibraryOf } from "../../../../lib/elf/write/stub-library.ts";
import { toAddress } from "../../../../lib/memory/numbers.ts";
import { inMemory } from "../in-memory.ts";
import { Scratch } from "../scratch.ts";
import { smallImage, withDynamic } from "../small-image.ts";

const scratch = new Scratch();
afterAll(() => scratch[Symbol.dispose]());
const path = scratch.write("libsmall.so.1", smallImage().bytes);

/** What a loader finds by names and versions: symbols, by "name@version" or "name" alone. */
function lookups(image: FileImage): Record<string, number | undefined> {
  const found: Record<string, number | undefined> = {};
  for (const name of ["puts", "red", "blue", "table", "green", "attach"]) {
    const bytes = new TextEncoder().encode(name);
    for (const version of [undefined, "V1", "V2", "GLIBC_2.2.5"])
      found[version === undefined ? name : `${name}@${version}`] =
        version === undefined ? image.find(name) : image.findReferenced(name, version);
    const hashed = [...(image.sysvHash?.candidates(sysvHash(bytes)) ?? [])];
    found[`${name}, by DT_HASH`] = hashed.find((index) => {
      const sym = image.symbols.at(index);
      return isExported(sym) && image.symbols.nameOf(sym) === name;
    });
  }
  return found;
}

/** Opens what was written, after our own check. */
function written(name: string, bytes: Uint8Array): FileImage {
  const path = scratch.write(name, bytes);
  checkFile(path, "whole");
  return openImage(path);
}

test("the library itself, to compare with", () => {
  using source = openImage(path);
  const expected = {
    red: 3,
    "red@V1": 2,
    "red@V2": 3,
    blue: 4,
    "blue@V1": 4,
    table: 5,
    "table@V2": 5,
    "table@V1": undefined,
  };
  expect(lookups(source)).toMatchObject({
    ...expected,
    puts: undefined,
    "red, by DT_HASH": 3,
    "green, by DT_HASH": undefined,
  });
});

describe.each([
  ["below 4 GiB", 0x10_0000],
  ["far above", 0x7fff_fff0_0000],
])("a mirror of a library %s", (_, bias) => {
  const loadBias = toAddress(bias);

  test("has the library's names and versions at its addresses in memory", () => {
    const { image } = inMemory(path, loadBias);
    using source = openImage(path);
    using mirror = written("mirror.so", mirrorOf(image, { soname: "libsmall.so.1" }).bytes);
    expect(lookups(mirror)).toEqual(lookups(source));
    expect([mirror.soname, mirror.needed, mirror.verneeds]).toEqual(["libsmall.so.1", [], []]);
    expect(mirror.verdefs).toEqual(source.verdefs);
    for (let i = 2; i < source.symbols.length; i++) {
      const [sym, original] = [mirror.symbols.at(i), source.symbols.at(i)];
      expect([sym.st_shndx, sym.st_value as number]).toEqual([SHN_ABS, bias + original.st_value]);
      expect([sym.st_info, sym.st_other, sym.st_size]).toEqual([original.st_info, original.st_other, original.st_size]);
    }
    const puts = mirror.symbols.at(1);
    expect([puts.st_shndx, puts.st_value as number, mirror.versionOf(1)]).toEqual([SHN_UNDEF, 0, undefined]);
  });

  test("may have another soname, need others, and show other functions, or what has moved", () => {
    const { image } = inMemory(path, loadBias);
    const [instead, elsewhere] = [toAddress(0x1234_5678_9abc), toAddress(0x2345_6789_abcd)];
    const overrides = new Map([["red", { address: instead }]]);
    const moved = new Map([[image.symbolAddress(5) as number, elsewhere]]);
    const options = { soname: "libother.so.2", needed: ["liba.so.1", "libb.so.1"], overrides, moved };
    using mirror = written("other.so", mirrorOf(image, options).bytes);
    expect([mirror.soname, mirror.needed]).toEqual(["libother.so.2", ["liba.so.1", "libb.so.1"]]);
    const values = [2, 3, 4, 5].map((i) => mirror.symbols.at(i).st_value as number);
    expect(values).toEqual([instead, instead, image.symbolAddress(4), elsewhere]);
  });
});

test("a placeholder has a place of its own for each, and asks for the agent", () => {
  using source = openImage(path);
  const options = {
    soname: "libsmall.so.1",
    needed: ["liba.so.1"],
    agent: "libagent.so",
    attach: "attach",
    owner: "test",
  };
  using image = written("placeholder.so", placeholderOf(source, { ...options, status: 3 }));
  expect(lookups(image)).toEqual(lookups(source));
  expect([image.soname, image.needed]).toEqual(["libsmall.so.1", ["liba.so.1", "libagent.so"]]);
  expect(image.verdefs).toEqual(source.verdefs);
  expect(image.symbols.length).toBe(7);
  const [code, data] = [image.loads[1], image.loads[0]];
  const addresses = [2, 3, 4].map((i) => image.symbols.at(i).st_value as number);
  expect(new Set(addresses).size).toBe(3);
  for (const address of addresses) {
    expect(address).toBeGreaterThanOrEqual(code?.p_vaddr ?? 0);
    expect(address).toBeLessThan((code?.p_vaddr ?? 0) + (code?.p_filesz ?? 0));
  }
  const [table, original] = [image.symbols.at(5), source.symbols.at(5)];
  expect([typeOf(table), table.st_size]).toEqual([STT_OBJECT, 16]);
  expect(table.st_value % 64).toBe(original.st_value % 64);
  expect(table.st_value + 16).toBeLessThan(data?.p_filesz ?? 0);
  const { buffer, byteOffset } = image.bytes.view(table.st_value, 16, "table");
  expect([...new Uint8Array(buffer, byteOffset, 16)]).toEqual(new Array(16).fill(0xee));
  const [slot, ...others] = [...image.rela];
  expect([others.length, slot?.r_sym, image.symbols.nameOf(image.symbols.at(6))]).toEqual([0, 6, "attach"]);
  expect(image.symbols.at(6).st_shndx).toBe(SHN_UNDEF);
});

test("a stub library has the names and versions, and they lead nowhere", () => {
  using source = openImage(path);
  using stub = written("stub.so", stubLibraryOf(source, ["libneeded.so.1"]));
  expect(lookups(stub)).toEqual(lookups(source));
  expect([stub.soname, stub.needed]).toEqual(["libsmall.so.1", ["libneeded.so.1"]]);
  expect(stub.verdefs).toEqual(source.verdefs);
  for (let i = 2; i < source.symbols.length; i++) {
    const { st_shndx, st_value } = stub.symbols.at(i);
    expect([st_shndx, st_value as number]).toEqual([SHN_ABS, NOWHERE]);
    expect(bindingOf(stub.symbols.at(i))).toBe(bindingOf(source.symbols.at(i)));
  }
  expect(typeOf(stub.symbols.at(2))).toBe(STT_FUNC);
});

test("what is written has the sections without which tools complain", () => {
  using source = openImage(path);
  using stub = written("sections.so", stubLibraryOf(source, ["libneeded.so.1"]));
  const { view, length, names } = readSections(stub.file, stub.ehdr) ?? {};
  const sections = Array.from({ length: length ?? 0 }, (_, i) => view && Shdr.at(view, i * Shdr.size));
  const [SHT_NULL, SHT_STRTAB, SHT_DYNAMIC, ALLOC, WRITE] = [0, 3, 6, 2, 1];
  expect(sections.map((section) => names?.at(section?.sh_name ?? 0))).toEqual(["", ".shstrtab", ".dynstr", ".dynamic"]);
  const [none, ofNames, strings, dynamic] = sections;
  expect(none).toMatchObject({ sh_type: SHT_NULL, sh_size: 0 });
  expect(ofNames).toMatchObject({ sh_type: SHT_STRTAB, sh_flags: 0, sh_addr: 0, sh_addralign: 1 });
  expect(strings).toMatchObject({
    sh_type: SHT_STRTAB,
    sh_flags: ALLOC,
    sh_size: stub.strings.bytes.length,
    sh_addralign: 1,
  });
  expect(strings?.sh_offset).toBe(stub.dynamic.get(5) ?? 0);
  expect(strings?.sh_addr).toBe(strings?.sh_offset ?? -1);
  const header = stub.segment(PT_DYNAMIC);
  expect(dynamic).toMatchObject({
    sh_type: SHT_DYNAMIC,
    sh_flags: ALLOC | WRITE,
    sh_link: 2,
    sh_entsize: 16,
    sh_addralign: 8,
  });
  expect([dynamic?.sh_offset, dynamic?.sh_addr, dynamic?.sh_size]).toEqual([
    header?.p_offset,
    header?.p_vaddr,
    header?.p_filesz,
  ] as number[]);
});

test("a copy that dlopen accepts differs in one flag", () => {
  const [DT_FLAGS_1, NOW, NOOPEN] = [0x6ffffffb, 1, 0x40];
  const closed = withDynamic(DT_FLAGS_1, NOW | NOOPEN);
  expect(openableCopy(scratch.write("closed.so", closed))).toEqual(Buffer.from(withDynamic(DT_FLAGS_1, NOW)));
  expect(openableCopy(path)).toEqual(Buffer.from(smallImage().bytes));
});
