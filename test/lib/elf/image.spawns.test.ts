// The small image, whole and broken in every way that we could think of.

import { afterAll, describe, expect, test } from "bun:test";
import { mkdirSync, truncateSync } from "node:fs";
import {
  DT_GNU_HASH,
  DT_HASH,
  DT_JMPREL,
  DT_NEEDED,
  DT_PLTRELSZ,
  DT_RELA,
  DT_RELASZ,
  DT_RELR,
  DT_RELRSZ,
  DT_SONAME,
  DT_STRSZ,
  DT_STRTAB,
  DT_SYMTAB,
  DT_VERDEF,
  DT_VERDEFNUM,
  DT_VERNEED,
  DT_VERNEEDNUM,
  DT_VERSYM,
} from "../../../lib/elf/constants.ts";
import { Dyn } from "../../../lib/elf/dyn.ts";
import { Ehdr, faultOfHeader } from "../../../lib/elf/ehdr.ts";
import type { ElfError } from "../../../lib/elf/error.ts";
import { FileBytes, openImage, readHeaders } from "../../../lib/elf/file.ts";
import { Image } from "../../../lib/elf/image.ts";
import { Phdr } from "../../../lib/elf/phdr.ts";
import { alignUp, PAGE_SIZE, toOffset, toVaddr } from "../../../lib/memory/numbers.ts";
import { faultOf, half, word, xword } from "./bytes.ts";
import { everything, plain } from "./everything.ts";
import { run, Scratch } from "./scratch.ts";
import { changed, smallImage, withDynamic, withoutDynamic } from "./small-image.ts";

const scratch = new Scratch();
afterAll(() => scratch[Symbol.dispose]());

const small = smallImage();
const PATH = scratch.path("libsmall.so.1");

function readAll(bytes: Uint8Array): ReturnType<typeof everything> {
  using image = openImage(scratch.write("libsmall.so.1", bytes));
  return everything(image);
}

/** The fault of reading all of an image; it must name the file. */
function faultIn(bytes: Uint8Array): ElfError {
  const error = faultOf(() => readAll(bytes));
  expect(error.path).toBe(PATH);
  expect(error.message).toBe(`Cannot read "${PATH}": ${error.structure}: ${error.fault}`);
  return error;
}

const ehdrAt = Ehdr.offsetOf;
/** A field of a program header: 0 and 1 are the PT_LOADs, 2 is PT_DYNAMIC, 3 is PT_NOTE. */
const phdrAt = (index: number, field: keyof typeof Phdr.offsetOf) =>
  small.at("phdrs") + index * Phdr.size + Phdr.offsetOf[field];

describe("openImage()", () => {
  test("reads a hand-written image", () => {
    const data = small.at("data") + 0x1000;
    const all = readAll(small.bytes);
    expect(all).toMatchObject({
      type: 3,
      soname: "libsmall.so.1",
      needed: ["libc.so.6"],
      rpath: undefined,
      runpath: "/opt/run",
      flags1: 0x800,
      verdefs: [
        { index: 1, name: "libsmall.so.1", isBase: true },
        { index: 2, name: "V1", isBase: false },
        { index: 3, name: "V2", isBase: false },
      ],
      verneeds: [{ file: "libc.so.6", index: 4, name: "GLIBC_2.2.5", isWeak: false }],
      relativeCount: 1,
      notes: [{ name: "GNU", type: 3, descriptor: "0102030405060708" }],
    });
    expect(
      all.symbols.map(({ name, version, isHidden, st_value, st_size }) => [name, version, isHidden, st_value, st_size]),
    ).toEqual([
      ["", undefined, false, 0, 0],
      ["puts", "GLIBC_2.2.5", false, 0, 0],
      ["red", "V1", true, 0x10, 4],
      ["red", "V2", false, 0x20, 8],
      ["blue", undefined, false, 0x30, 12],
      ["table", "V2", false, data, 16],
    ]);
    expect(all.rela.map((rela) => Object.values(rela))).toEqual([
      [data, 8, 0, 0x10],
      [data + 8, 1, 5, -4],
    ]);
    expect(all.jmprel.map((rela) => Object.values(rela))).toEqual([[data + 16, 7, 1, 0]]);
    expect(all.relr as number[]).toEqual([data + 24, data + 40]);
  });

  test("leaves out of the relocations what DT_RELACOUNT says, and no more", () => {
    const path = scratch.write("libsmall.so.2", small.bytes);
    using image = openImage(path);
    const all = [...image.rela];
    expect(image.relativeCount).toBe(1);
    expect([...image.symbolicRela].map(({ r_offset }) => r_offset)).toEqual(
      all.slice(1).map(({ r_offset }) => r_offset),
    );
  });

  test("reads what readelf reads in it", () => {
    const path = scratch.write("libsmall.so.1", small.bytes);
    const output = run(["readelf", "-D", "-s", "-d", "-n", "-W", path]);
    expect(output).toContain("Library soname: [libsmall.so.1]");
    expect(output).toContain("Library runpath: [/opt/run]");
    for (const line of ["FUNC    GLOBAL DEFAULT    1 red", "FUNC    WEAK   DEFAULT    1 blue", "UND puts"])
      expect(output).toContain(line);
  });

  test("throws what open(2) throws", () => {
    expect(() => openImage(scratch.path("nowhere.so"))).toThrow("ENOENT");
  });

  test("throws for a directory, a FIFO and a device, and waits for none of them", () => {
    mkdirSync(scratch.path("directory"), { recursive: true });
    run(["mkfifo", scratch.path("fifo")]);
    for (const path of [scratch.path("directory"), scratch.path("fifo"), "/dev/null"])
      expect(faultOf(() => openImage(path))).toMatchObject({ path, structure: "file", fault: "not a regular file" });
  });

  test("leaves no descriptor open where it throws", () => {
    const descriptors = () =>
      run(["ls", `/proc/${process.pid}/fd`])
        .trim()
        .split("\n").length;
    const before = descriptors();
    for (let i = 0; i < 50; i++) {
      faultIn(small.bytes.subarray(0, 100));
      faultOf(() => openImage(scratch.directory));
    }
    expect(descriptors()).toBeLessThan(before + 50);
  });

  test("throws for files that are no ELF file", () => {
    for (const content of [
      "",
      "\x7f",
      "\x7fEL",
      "#!/bin/sh\nexec true\n",
      "INPUT(libncurses.so.6 -ltinfo)\n".repeat(10),
    ])
      expect(faultIn(new TextEncoder().encode(content))).toMatchObject({
        structure: "ELF header",
        fault: "not an ELF file",
      });
  });

  test("throws for every length of a truncated file, and names the structure", () => {
    for (let length = 0; length < small.at("dynamic"); length++) {
      const { structure } = faultIn(small.bytes.subarray(0, length));
      if (length < Ehdr.size) expect(structure).toBe("ELF header");
      else if (length < small.at("note")) expect(structure).toBe("program headers");
      else expect(structure).not.toBe("ELF header");
    }
    // DT_NULL is there all the same: behind its end a file's last page has zeroes
    for (let missing = 0; missing <= Dyn.size; missing++)
      expect(readAll(small.bytes.subarray(0, small.bytes.length - missing)).soname).toBe("libsmall.so.1");
  });

  test("reads what is in a segment's pages, wherever in them it ends", () => {
    const whole = readAll(small.bytes);
    const { phdrs: _, ...tables } = whole;
    for (const length of [1, small.at("dynsym"), small.at("data") - 1])
      expect(readAll(changed(phdrAt(0, "p_filesz"), xword(length), xword(length)))).toMatchObject(tables);
    // of one that goes on in memory there are zeroes
    expect(readAll(changed(phdrAt(0, "p_filesz"), xword(small.at("rela")))).rela.map(({ r_type }) => r_type)).toEqual([
      0, 0,
    ]);
  });
});

describe("the ELF header", () => {
  const faultWith = (offset: number, ...bytes: number[][]) => {
    const error = faultIn(changed(offset, ...bytes));
    expect(error.structure).toBe("ELF header");
    return error.fault;
  };

  test("is refused for another class, byte order, machine or type, in words that name it", () => {
    expect(faultWith(4, [1])).toContain("32-bit");
    expect(faultWith(4, [3])).toBe("unknown class 3");
    expect(faultWith(5, [2])).toBe("not little-endian");
    expect(faultWith(ehdrAt.e_machine, half(183))).toContain("AArch64");
    expect(faultWith(ehdrAt.e_machine, half(3))).toContain("i386");
    expect(faultWith(ehdrAt.e_machine, half(0xfeed))).toContain("machine 65261");
    for (const type of [0, 1, 4, 0xffff]) expect(faultWith(ehdrAt.e_type, half(type))).toContain(`e_type ${type} `);
  });

  test("names the class of a 32-bit file that is shorter than a 64-bit header", () => {
    const head = changed(4, [1]).subarray(0, 52);
    expect(faultIn(head).fault).toContain("32-bit");
  });

  test("says where a file ends within it", () => {
    expect(faultIn(small.bytes.subarray(0, 12)).fault).toBe("the file ends within it, after 12 bytes");
    expect(faultIn(small.bytes.subarray(0, 63)).fault).toBe("the file ends within it, after 63 bytes");
    expect(faultOfHeader(new DataView(small.bytes.buffer, 0, 64))).toBeUndefined();
  });

  test("is refused with program headers of another size, none, or too many", () => {
    for (const size of [0, 32, 55, 57, 0xffff]) expect(faultWith(ehdrAt.e_phentsize, half(size))).toContain(`${size}`);
    expect(faultWith(ehdrAt.e_phnum, half(0))).toContain("e_phnum 0 ");
    expect(faultWith(ehdrAt.e_phnum, half(0xffff))).toContain("e_phnum 65535 ");
  });
});

describe("the program headers", () => {
  const structureWith = (offset: number, ...bytes: number[][]) => faultIn(changed(offset, ...bytes)).structure;

  test("are refused beyond the file", () => {
    expect(structureWith(ehdrAt.e_phnum, half(1000))).toBe("program headers");
    for (const offset of [small.bytes.length - 1, 2 ** 40, 2n ** 63n, -1])
      expect(structureWith(ehdrAt.e_phoff, xword(offset))).toBe("program headers");
  });

  test("are refused without PT_DYNAMIC", () => {
    const error = faultIn(changed(phdrAt(2, "p_type"), word(0)));
    expect(error).toMatchObject({ structure: "program headers" });
    expect(error.fault).toContain("statically linked");
  });

  test("are readable where there is no PT_DYNAMIC, of a statically linked program", () => {
    using file = new FileBytes(scratch.write("static", changed(phdrAt(2, "p_type"), word(0))));
    expect(readHeaders(file).phdrs.map(({ p_type }) => p_type)).toEqual([1, 1, 0, 4]);
  });

  test("are refused where p_filesz is larger than p_memsz, and beyond what is set aside", () => {
    const error = faultIn(changed(phdrAt(1, "p_filesz"), xword(0x4000), xword(1)));
    expect(error).toMatchObject({ structure: "PT_LOAD", fault: "p_filesz is larger than p_memsz" });
    expect(readAll(changed(phdrAt(0, "p_memsz"), xword(1))).soname).toBe("libsmall.so.1");
  });

  test("are refused where a segment is outside of what the first and the last one span", () => {
    expect(structureWith(phdrAt(0, "p_vaddr"), xword(0x10000))).toBe("PT_LOAD");
    // within, they may overlap; the first one's end is then beyond the last one's
    expect(structureWith(phdrAt(0, "p_memsz"), xword(0x10000))).toBe("PT_LOAD");
  });

  test("are refused where a segment reaches beyond the address space", () => {
    expect(structureWith(phdrAt(1, "p_vaddr"), xword(-1))).toBe("PT_LOAD");
    expect(structureWith(phdrAt(1, "p_memsz"), xword(2n ** 63n))).toBe("PT_LOAD");
    expect(structureWith(phdrAt(1, "p_memsz"), xword(Number.MAX_SAFE_INTEGER))).toBe("PT_LOAD");
  });

  test("may describe more memory than file, and segments without either", () => {
    expect(readAll(changed(phdrAt(1, "p_memsz"), xword(0x100000)))).toMatchObject({ soname: "libsmall.so.1" });
    const empty = changed(
      phdrAt(3, "p_type"),
      word(1),
      word(4),
      xword(0),
      xword(0x100000),
      xword(0),
      xword(0),
      xword(0),
    );
    expect(readAll(empty)).toMatchObject({ soname: "libsmall.so.1", notes: [] });
  });

  test("are refused where a segment's bytes are beyond the file", () => {
    for (const offset of [small.bytes.length, 2 ** 40, -1])
      expect(structureWith(phdrAt(1, "p_offset"), xword(offset))).toBe("dynamic section");
  });

  test("are refused where the dynamic section is in no segment, or reaches out of it", () => {
    expect(structureWith(phdrAt(2, "p_vaddr"), xword(0x900000))).toBe("dynamic section");
    expect(structureWith(phdrAt(2, "p_filesz"), xword(0))).toBe("program headers");
  });

  test("may say any size of the dynamic section: it ends with DT_NULL", () => {
    const { phdrs: _, ...whole } = readAll(small.bytes);
    for (const size of [1, 16, 0x10000, 2 ** 40, -1])
      expect(readAll(changed(phdrAt(2, "p_filesz"), xword(size), xword(size)))).toMatchObject(whole);
    const endless = changed(small.at("end") - Dyn.size, xword(0x60000000));
    const full = new Uint8Array(alignUp(endless.length, PAGE_SIZE)).fill(0x60);
    full.set(endless);
    expect(faultIn(full).fault).toBe("it has no end (DT_NULL) in its segment");
  });
});

describe("the dynamic section", () => {
  test.each([
    ["DT_STRTAB", DT_STRTAB, "string table"],
    ["DT_SYMTAB", DT_SYMTAB, "symbol table"],
    ["DT_GNU_HASH", DT_GNU_HASH, "DT_GNU_HASH"],
    ["DT_VERSYM", DT_VERSYM, "version table"],
    ["DT_VERDEF", DT_VERDEF, "DT_VERDEF"],
    ["DT_VERNEED", DT_VERNEED, "DT_VERNEED"],
    ["DT_RELA", DT_RELA, "DT_RELA"],
    ["DT_JMPREL", DT_JMPREL, "DT_JMPREL"],
    ["DT_RELR", DT_RELR, "DT_RELR"],
  ])("is refused where %s points into no segment", (_, tag, structure) => {
    for (const pointer of [0x900000, 2 ** 47, 2 ** 53, 2n ** 63n, -1])
      expect(faultIn(withDynamic(tag, pointer)).structure).toBe(structure);
  });

  test.each([
    ["DT_RELASZ", DT_RELASZ, "DT_RELA"],
    ["DT_PLTRELSZ", DT_PLTRELSZ, "DT_JMPREL"],
    ["DT_RELRSZ", DT_RELRSZ, "DT_RELR"],
  ])("is refused where %s reaches out of the segment", (_, tag, structure) => {
    for (const size of [0x10000, 2 ** 40, 2n ** 63n, -1])
      expect(faultIn(withDynamic(tag, size)).structure).toBe(structure);
  });

  test("may say that a table is empty, wherever it is", () => {
    expect(readAll(withDynamic(DT_RELASZ, 0)).rela).toEqual([]);
    expect(readAll(withDynamic(DT_PLTRELSZ, 0)).jmprel).toEqual([]);
    expect(readAll(withDynamic(DT_RELRSZ, 0)).relr).toEqual([]);
    expect(readAll(withoutDynamic(DT_RELASZ, DT_PLTRELSZ, DT_RELRSZ))).toMatchObject({
      rela: [],
      jmprel: [],
      relr: [],
    });
    expect(readAll(withoutDynamic(DT_RELA, DT_JMPREL, DT_RELR))).toMatchObject({ rela: [], jmprel: [], relr: [] });
  });

  test("is refused where a string is outside the string table", () => {
    for (const tag of [DT_SONAME, DT_NEEDED])
      for (const offset of [10_000, 2 ** 32, -1])
        expect(faultIn(withDynamic(tag, offset)).structure).toBe("string table");
    expect(faultIn(withoutDynamic(DT_STRTAB)).structure).toBe("string table");
  });

  test("may claim any number of strings, as long as those that are used exist: no loader looks at it", () => {
    const whole = readAll(small.bytes);
    const sizes = [0, 1, 20, small.at("data") - small.at("dynstr"), 2 ** 40, -1];
    for (const bytes of [withoutDynamic(DT_STRSZ), ...sizes.map((size) => withDynamic(DT_STRSZ, size))]) {
      const { tags: _, ...read } = readAll(bytes);
      expect(whole).toMatchObject(read);
    }
  });

  test("has as many bytes of strings as are used, or more where it says so", () => {
    const sizeWith = (size: number): number => {
      using image = openImage(scratch.write("libsmall.so.1", withDynamic(DT_STRSZ, size)));
      const { strings } = image;
      expect(strings.bytes.length).toBe(strings.size);
      return strings.size;
    };
    using image = openImage(scratch.write("libsmall.so.1", small.bytes));
    const { size } = image.strings;
    for (const less of [0, 1, size - 3, 2 ** 40, -1]) expect(sizeWith(less)).toBe(size);
    expect(sizeWith(size + 5)).toBe(size + 5);
  });

  test("is refused without symbols", () => {
    expect(faultIn(withoutDynamic(DT_SYMTAB))).toMatchObject({ structure: "dynamic section" });
  });

  test("has the symbols that relocations refer to, where no hash table tells of any", () => {
    const { symbols } = readAll(withoutDynamic(DT_HASH, DT_GNU_HASH));
    expect(symbols.map(({ name }) => name)).toEqual(["", "puts", "red", "red", "blue", "table"]);
    const noBuckets = changed(small.at("gnu-hash"), word(0));
    expect(readAll(noBuckets).symbols.map(({ name }) => name)).toContain("table");
  });

  test("gives all versions, whatever their count is: no loader looks at it", () => {
    for (const bytes of [
      withoutDynamic(DT_VERDEFNUM, DT_VERNEEDNUM),
      withDynamic(DT_VERDEFNUM, 0),
      withDynamic(DT_VERDEFNUM, 4_000_000_000),
      withDynamic(DT_VERNEEDNUM, 0),
      withDynamic(DT_VERNEEDNUM, -1),
    ]) {
      const { verdefs, verneeds } = readAll(bytes);
      expect([verdefs.length, verneeds.length]).toEqual([3, 1]);
    }
  });

  test("has no DT_HASH where that is unsound, and DT_GNU_HASH goes before it", () => {
    const whole = readAll(small.bytes);
    for (const bytes of [
      changed(small.at("hash") + 4, word(0xffffffff)),
      changed(small.at("hash"), word(0xffffffff)),
      withDynamic(DT_HASH, 0x900000),
    ]) {
      using image = openImage(scratch.write("libsmall.so.1", bytes));
      expect(image.sysvHash).toBeUndefined();
      expect(readAll(bytes).symbols).toEqual(whole.symbols);
    }
  });

  test("reads the same with either hash table alone", () => {
    const both = readAll(small.bytes);
    expect(readAll(withoutDynamic(DT_HASH)).symbols).toEqual(both.symbols);
    expect(readAll(withoutDynamic(DT_GNU_HASH)).symbols).toEqual(both.symbols);
    const lookups = ({ lookups }: typeof both) => lookups.map((lookup) => lookup?.byDefault);
    expect(lookups(readAll(withoutDynamic(DT_HASH)))).toEqual(lookups(both));
    expect(lookups(readAll(withoutDynamic(DT_GNU_HASH)))).toEqual([undefined, undefined, 3, 3, 4, 5]);
  });

  test("is refused with broken hash tables", () => {
    const looping = withoutDynamic(DT_GNU_HASH);
    looping.set(word(5), small.at("hash") + 12 + 5 * 4); // chain[5] = 5
    expect(faultIn(looping).structure).toBe("DT_HASH");
    expect(faultIn(changed(small.at("gnu-hash"), word(0xffffffff))).structure).toBe("DT_GNU_HASH"); // nbuckets
    const endless = withoutDynamic(DT_HASH);
    endless.fill(0xfe, small.at("gnu-hash") + 28, small.at("dynsym"));
    endless.set(word(2), small.at("gnu-hash") + 24);
    const error = faultOf(() => readAll(endless));
    expect(error.structure).toBe("DT_GNU_HASH");
  });
});

describe("Image.find()", () => {
  const found = (bytes: Uint8Array, ...[name, version]: [name: string, version?: string]) => {
    using image = openImage(scratch.write("libsmall.so.1", bytes));
    return version === undefined ? image.find(name) : image.findReferenced(name, version);
  };

  test("takes the default version where none is asked for", () => {
    expect(found(small.bytes, "red")).toBe(3);
    expect(found(small.bytes, "blue")).toBe(4);
  });

  test("lists every version of a name", () => {
    using image = openImage(scratch.write("libsmall.so.1", small.bytes));
    expect([...image.findAll("red")]).toEqual([2, 3]);
    expect([...image.findAll("puts")]).toEqual([]);
  });

  test("takes the very version that is asked for, hidden or not", () => {
    expect(found(small.bytes, "red", "V1")).toBe(2);
    expect(found(small.bytes, "red", "V2")).toBe(3);
    expect(found(small.bytes, "table", "V1")).toBeUndefined();
    expect(found(small.bytes, "red", "V3")).toBeUndefined();
  });

  test("takes a symbol without a version for any, as ld.so does for a relocation", () => {
    expect(found(small.bytes, "blue", "V1")).toBe(4);
    expect(found(small.bytes, "blue", "V9")).toBe(4);
    expect(found(withoutDynamic(DT_VERSYM), "table", "V9")).toBe(5);
  });

  test("finds no undefined symbol, no part of a name, and nothing else", () => {
    for (const name of ["puts", "", "re", "redd", "RED", "libsmall.so.1"])
      expect(found(small.bytes, name)).toBeUndefined();
    for (const name of ["puts", ""]) expect(found(withoutDynamic(DT_GNU_HASH), name)).toBeUndefined();
  });

  test("finds no local symbol", () => {
    const local = changed(small.at("dynsym") + 4 * 24 + 4, [0x02]); // blue, LOCAL FUNC
    expect(found(local, "blue")).toBeUndefined();
  });
});

describe("a gnu hash table without symbols", () => {
  // As GNU ld writes it for an object that exports nothing: symoffset is 1, and the undefined symbols are not counted.
  const bytes = withoutDynamic(DT_HASH, DT_VERSYM);
  bytes.set([...word(1), ...word(1), ...word(1), ...word(0), ...xword(0), ...word(0)], small.at("gnu-hash"));

  test("does not hide the symbols that relocations want", () => {
    using image = openImage(scratch.write("libempty.so", bytes));
    expect(image.symbols).toHaveLength(6); // R_X86_64_64 wants symbol 5
    const [slot] = image.jmprel;
    expect(image.symbols.nameOf(image.symbols.at(slot?.r_sym ?? 0))).toBe("puts");
    expect(image.find("red")).toBeUndefined();
  });

  test("is refused where a relocation wants a symbol beyond the image", () => {
    const absurd = bytes.slice();
    absurd.set(word(0xffffffff), small.at("jmprel") + 12); // r_sym
    expect(faultIn(absurd).structure).toBe("symbol table");
  });
});

describe("FileBytes", () => {
  test("gives bytes across its pieces, up to the last one", () => {
    const content = Uint8Array.from({ length: 20_000 }, (_, i) => (i * 7) % 251);
    using file = new FileBytes(scratch.write("bytes", content));
    for (const [offset, length] of [
      [0, 1],
      [8191, 1],
      [8191, 2],
      [8192, 8192],
      [100, 19_900],
      [19_999, 1],
      [20_000, 0],
    ] as const) {
      const view = file.view(toOffset(offset), length, "bytes");
      expect(view.byteLength).toBe(length);
      const given = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
      expect(Buffer.compare(given, content.subarray(offset, offset + length))).toBe(0);
    }
  });

  test("throws for bytes beyond the end, and for positions that are none", () => {
    using file = new FileBytes(scratch.write("bytes", new Uint8Array(100)));
    for (const [offset, length] of [
      [100, 1],
      [0, 101],
      [2 ** 52, 1],
      [Number.POSITIVE_INFINITY, 0],
      [Number.NaN, 1],
    ] as const) {
      const { path, structure } = faultOf(() => file.view(toOffset(offset), length, "some table"));
      expect([path, structure]).toEqual([scratch.path("bytes"), "some table"]);
    }
  });

  test("throws where the file became shorter meanwhile", () => {
    const path = scratch.write("shrinking", new Uint8Array(100_000));
    using file = new FileBytes(path);
    file.view(toOffset(0), 1, "start");
    truncateSync(path, 50_000);
    expect(faultOf(() => file.view(toOffset(90_000), 10, "end")).fault).toContain("became shorter");
  });

  test("does not try to read what a sparse file claims to have", () => {
    const path = scratch.write("sparse", new Uint8Array(1));
    truncateSync(path, 2 ** 40);
    using file = new FileBytes(path);
    expect(file.view(toOffset(2 ** 39), 8, "middle").getUint32(0)).toBe(0);
    expect(faultOf(() => file.view(toOffset(0), 2 ** 39, "string table"))).toMatchObject({
      path,
      structure: "string table",
    });
  });

  test("closes its descriptor once: the number may be another file's afterwards", () => {
    const file = new FileBytes(scratch.write("bytes", new Uint8Array(100)));
    file[Symbol.dispose]();
    using other = new FileBytes(scratch.write("other", new Uint8Array([42])));
    file[Symbol.dispose]();
    expect(other.view(toOffset(0), 1, "start").getUint8(0)).toBe(42);
    expect(() => file.view(toOffset(0), 1, "start")).toThrow();
  });
});

test("tables that do not say how long they are are read up to the next table, not to the end of their segment", () => {
  using file = openImage(scratch.write("libsmall.so.1", small.bytes));
  const asked = new Map<string, number>();
  const { bytes } = file;
  const image = new Image(file.path, file.ehdr, file.phdrs, {
    view: (vaddr, length, structure) => bytes.view(vaddr, length, structure),
    vaddrOf: (pointer) => bytes.vaddrOf(pointer),
    room: (vaddr) => bytes.room(vaddr),
    rest(vaddr, structure, end) {
      const view = bytes.rest(vaddr, structure, end);
      asked.set(structure, view.byteLength);
      return view;
    },
  });
  everything(image);
  expect(Object.fromEntries(asked)).toEqual({
    DT_HASH: small.at("gnu-hash") - small.at("hash"),
    DT_GNU_HASH: small.at("dynsym") - small.at("gnu-hash"),
    DT_VERDEF: small.at("verneed") - small.at("verdef"),
    DT_VERNEED: small.at("rela") - small.at("verneed"),
  });
});

test("an image knows where its memory ends, and its segments by type", () => {
  using image = openImage(scratch.write("libsmall.so.1", changed(phdrAt(1, "p_memsz"), xword(0x5000))));
  expect(image.end).toBe(toVaddr(small.at("data") + 0x1000 + 0x5000));
  expect(image.segment(4)).toBeDefined();
  expect(plain(Phdr, image.segment(4) as Phdr).p_offset).toBe(toOffset(small.at("note")));
  expect(image.tls).toBeUndefined();
  expect(image.relro).toBeUndefined();
});
