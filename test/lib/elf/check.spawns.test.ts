// What is sound passes, whatever made it; each lie is caught, and by the structure that tells it.

import { afterAll, describe, expect, test } from "bun:test";
import { closeSync, openSync, readdirSync, readSync, realpathSync } from "node:fs";
import { join } from "node:path";
import { checkFile } from "../../../lib/elf/check.ts";
import * as elf from "../../../lib/elf/constants.ts";
import { openImage } from "../../../lib/elf/file.ts";
import { isForeign } from "../../../lib/elf/library.ts";
import { Rela } from "../../../lib/elf/rela.ts";
import { alignUp, PAGE_SIZE, toOffset, toVaddr } from "../../../lib/memory/numbers.ts";
import { systemDirectories } from "../../../lib/tree/system-dirs.ts";
import { Tree } from "../../../lib/tree/tree.ts";
import { faultOf } from "./bytes.ts";
import { Liar, specimen } from "./liar.ts";
import { Scratch } from "./scratch.ts";
import { buildSpecimens, realImages } from "./specimens.ts";

const scratch = new Scratch();
afterAll(() => scratch[Symbol.dispose]());

test("a table of relocations is checked to its end, in pieces: none is in memory as a whole", () => {
  const COUNT = 70_000;
  const source = `static int one; int *all[${COUNT}] = {[0 ... ${COUNT - 1}] = &one};`;
  const path = scratch.compile("relocated.so", source, "-shared", "-fPIC", "-nostdlib");
  checkFile(path);
  using image = openImage(path);
  const lengths = Array.from(image.relocations("DT_RELA"), ({ length }) => length);
  expect(lengths.length).toBeGreaterThan(1);
  expect(lengths.reduce((sum, length) => sum + length, 0)).toBe(image.rela.length);
  expect(image.relativeCount).toBeGreaterThanOrEqual(COUNT);
  const at = (entry: number) => image.rela.at(entry).r_offset as number;
  for (const entry of [0, 66_000, COUNT - 1]) {
    const file = new Liar(path);
    const table = file.table(elf.DT_RELA, entry * Rela.size);
    expect(file.word(table)).toBe(at(entry));
    file.setWord(table, 0x7fff_f000);
    expect(faultOf(() => checkFile(scratch.write("far.so", file.bytes))).fault).toContain(
      `entry ${entry} relocates vaddr`,
    );
  }
});

describe("what is sound passes", () => {
  const LIMIT = 400;

  test("libraries of this machine", () => {
    const found = new Set<string>();
    for (const directory of systemDirectories(new Tree("/"))) {
      for (const name of namesIn(directory)) {
        if (/\.so(\.|$)/.test(name) && isLibrary(join(directory, name))) found.add(realpathSync(join(directory, name)));
        if (found.size === LIMIT) break;
      }
    }
    expect(found.size).toBeGreaterThan(20);
    for (const path of found) checkFile(path);
  });

  test.each(Object.entries({ ...realImages, ...buildSpecimens(scratch) }))("%s", (_, path) => {
    if (path !== undefined) checkFile(path);
  });

  function namesIn(directory: string): string[] {
    try {
      return readdirSync(directory).sort();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
      return [];
    }
  }

  /** An ELF file for this machine, and no linker script of that name, nor a link to nowhere. */
  function isLibrary(path: string): boolean {
    try {
      const head = new Uint8Array(20);
      const descriptor = openSync(path, "r");
      readSync(descriptor, head);
      closeSync(descriptor);
      return elf.ELFMAG.every((byte, i) => head[i] === byte) && !isForeign(new DataView(head.buffer));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === undefined) throw error;
      return false;
    }
  }
});

const sound = specimen(scratch, "libsound.so", "-Wl,-z,pack-relative-relocs");
/** With RELATIVE entries in DT_RELA, not in DT_RELR. */
const unpacked = specimen(scratch, "libunpacked.so");

const FAR = 0x7fff_ffff_f000;

type Lie = readonly [words: string, damage: (file: Liar) => void, structure: string, fault: RegExp];
const [FILESZ, MEMSZ] = [0x10_0000, 0x10_0000];

const lies: Lie[] = [
  [
    "how much of a segment is in the file",
    (file) => Object.assign(file.segment(elf.PT_LOAD), { p_filesz: FILESZ, p_memsz: MEMSZ }),
    "PT_LOAD",
    /^its 1048576 bytes at offset \d+ reach beyond the end of the file \(\d+ bytes\)$/,
  ],
  [
    "a segment's size in memory",
    (file) => {
      file.segment(elf.PT_LOAD).p_memsz = 2 ** 47;
    },
    "PT_LOAD",
    /address space/,
  ],
  [
    "a segment's size, past 53 bits",
    (file) => {
      file.segment(elf.PT_LOAD).p_memsz = 2 ** 60;
    },
    "PT_LOAD",
    /address space/,
  ],
  [
    "a segment that has more in the file",
    (file) => {
      file.segment(elf.PT_LOAD).p_memsz = 8;
    },
    "PT_LOAD",
    /p_filesz/,
  ],
  [
    "the order of its segments",
    (file) => {
      file.segment(elf.PT_LOAD).p_vaddr = toVaddr(0);
    },
    "PT_LOAD",
    /does not end behind the others/,
  ],
  [
    "an alignment to more than there is",
    (file) => {
      file.segment(elf.PT_LOAD).p_align = 2 ** 50;
    },
    "PT_LOAD",
    /p_align/,
  ],
  [
    "a segment's offset in its page",
    (file) => {
      file.segment(elf.PT_LOAD).p_offset = toOffset(8);
    },
    "PT_LOAD",
    /congruent/,
  ],
  [
    "where its thread-local data is",
    (file) => {
      file.segment(elf.PT_TLS).p_vaddr = toVaddr(FAR);
    },
    "PT_TLS",
    /in no segment/,
  ],
  [
    "the size of its thread-local data",
    (file) => {
      file.segment(elf.PT_TLS).p_memsz = 1;
    },
    "PT_TLS",
    /p_filesz is larger/,
  ],
  [
    "what is read-only behind relocation",
    (file) => {
      Object.assign(file.segment(elf.PT_GNU_RELRO), { p_vaddr: FAR, p_memsz: 4096 });
    },
    "PT_GNU_RELRO",
    /not in the image/,
  ],
  ["the size of a relocation", (file) => file.set(elf.DT_RELAENT, 0), "dynamic section", /^DT_RELAENT is 0, not 24$/],
  [
    "the size of a packed relocation",
    (file) => file.set(elf.DT_RELRENT, 4),
    "dynamic section",
    /^DT_RELRENT is 4, not 8$/,
  ],
  [
    "the kind of its PLT relocations",
    (file) => file.set(elf.DT_PLTREL, 17),
    "dynamic section",
    /^DT_PLTREL is 17, not 7$/,
  ],
  [
    "how many relocations it has",
    (file) => file.set(elf.DT_RELASZ, 24 * 2 ** 32),
    "dynamic section",
    /^DT_RELA, \d+ bytes at vaddr 0x[0-9a-f]+, is in no segment$/,
  ],
  [
    "where its relocations are",
    (file) => file.set(elf.DT_RELA, FAR),
    "dynamic section",
    /^DT_RELA, .* is in no segment$/,
  ],
  [
    "where its PLT relocations are",
    (file) => file.set(elf.DT_JMPREL, FAR),
    "dynamic section",
    /^DT_JMPREL, .* is in no segment$/,
  ],
  [
    "where its packed relocations are",
    (file) => file.set(elf.DT_RELR, FAR),
    "dynamic section",
    /^DT_RELR, .* is in no segment$/,
  ],
  [
    "where its constructors are",
    (file) => file.set(elf.DT_INIT_ARRAY, FAR),
    "dynamic section",
    /^DT_INIT_ARRAY, .* in no segment$/,
  ],
  [
    "how many destructors it has",
    (file) => file.set(elf.DT_FINI_ARRAYSZ, 2 ** 40),
    "dynamic section",
    /^DT_FINI_ARRAY, .* in no segment$/,
  ],
  [
    "where its code begins",
    (file) => file.set(elf.DT_INIT, FAR),
    "dynamic section",
    /^DT_INIT, vaddr 0x7ffffffff000, is in no executable/,
  ],
  [
    "data that it calls at the end",
    (file) => file.set(elf.DT_FINI, file.entry(elf.DT_INIT_ARRAY).d_val),
    "dynamic section",
    /^DT_FINI, .* executable segment$/,
  ],
  [
    "the size of its bloom filter",
    (file) => file.setWord(file.table(elf.DT_GNU_HASH, 8), 3),
    "DT_GNU_HASH",
    /no power of two|begins with symbol|^the chain/,
  ],
  [
    "the symbol that a bucket begins with",
    (file) => file.setWord(file.gnuBuckets, 0x7fff_fff0),
    "DT_GNU_HASH",
    /^bucket 0 begins with symbol 2147483632|^the chain/,
  ],
  [
    "a bucket of symbols that are not in the table",
    (file) => {
      file.setWord(file.table(elf.DT_GNU_HASH, 4), 3);
      file.setWord(file.gnuBuckets, 2);
    },
    "DT_GNU_HASH",
    /^bucket 0 begins with symbol 2, of 3 to \d+$/,
  ],
  [
    "a chain that leads out of the table (SysV)",
    (file) => {
      file.remove(elf.DT_GNU_HASH);
      file.setWord(file.sysvChains + 4 * first(file), 1_000_000);
    },
    "DT_HASH",
    /^a chain leads to symbol 1000000, beyond its segment$/,
  ],
  [
    "a chain that loops (SysV)",
    (file) => {
      file.remove(elf.DT_GNU_HASH);
      file.setWord(file.sysvChains + 4 * first(file), first(file));
    },
    "DT_HASH",
    /^a chain loops, at symbol \d+$/,
  ],
  [
    "the name of a symbol",
    (file) => {
      file.symbol("say").st_name = 0x7fff_ffff;
    },
    "symbol table",
    /^the name of symbol \d+ is beyond/,
  ],
  [
    "where a symbol is",
    (file) => {
      file.symbol("say").st_value = toVaddr(2 ** 40);
    },
    "symbol table",
    /^symbol \d+ is beyond the image$/,
  ],
  [
    "where a symbol is, past 53 bits",
    (file) => {
      file.symbol("say").st_value = toVaddr(2 ** 63);
    },
    "symbol table",
    /beyond the image$/,
  ],
  [
    "where a thread-local symbol is",
    (file) => {
      file.symbol("green").st_value = toVaddr(4096);
    },
    "symbol table",
    /beyond the image$/,
  ],
  [
    "the version of a symbol",
    (file) => file.view.setUint16(file.table(elf.DT_VERSYM, 2), 77, true),
    "version table",
    /^symbol 1 has version 77, and there are \d+$/,
  ],
  [
    "a hidden version of a symbol",
    (file) => file.view.setUint16(file.table(elf.DT_VERSYM, 2), 0x804d, true),
    "version table",
    /^symbol 1 has version 32845/,
  ],
  [
    "the next of its versions",
    (file) => file.setWord(file.table(elf.DT_VERDEF, 16), 4),
    "DT_VERDEF",
    /overlaps the next one/,
  ],
  [
    "the next of the versions that it needs",
    (file) => file.setWord(file.table(elf.DT_VERNEED, 8), 0x7fff_0000),
    "DT_VERNEED",
    /./,
  ],
];

/** The lies that only a look at every relocation tells. */
const singleRelocations: Lie[] = [
  [
    "which place is relocated",
    (file) => {
      file.relocation(elf.DT_RELA).r_offset = toVaddr(FAR);
    },
    "DT_RELA",
    /^entry 0 relocates vaddr 0x7ffffffff000/,
  ],
  [
    "which place is relocated, past 53 bits",
    (file) => {
      file.relocation(elf.DT_JMPREL).r_offset = toVaddr(2 ** 63);
    },
    "DT_JMPREL",
    /^entry 0 relocates vaddr/,
  ],
  [
    "which symbol is relocated to",
    (file) => {
      file.relocation(elf.DT_JMPREL).r_sym = 999;
    },
    "DT_JMPREL",
    /^entry 0 refers to symbol 999 of \d+$/,
  ],
  [
    "a place beyond the end of a segment's last page by a byte",
    (file) => {
      const { p_vaddr, p_memsz } = file.segment(elf.PT_LOAD);
      file.relocation(elf.DT_RELA).r_offset = toVaddr(alignUp(p_vaddr + p_memsz, PAGE_SIZE) - 3);
    },
    "DT_RELA",
    /^entry 0 relocates/,
  ],
  [
    "which place is relocated (packed)",
    (file) => file.view.setBigUint64(file.table(elf.DT_RELR), BigInt(FAR), true),
    "DT_RELR",
    /^vaddr 0x7ffffffff000 is in no writable segment$/,
  ],
];

/** The first symbol in the first chain that is not empty. */
function first(file: Liar): number {
  const table = file.table(elf.DT_HASH);
  for (let at = table + 8; ; at += 4) if (file.word(at) !== 0) return file.word(at);
}

function damaged(damage: (file: Liar) => void, source = sound): string {
  const file = new Liar(source);
  const before = file.bytes.slice();
  damage(file);
  expect(file.bytes).not.toEqual(before);
  return scratch.write("liar.so", file.bytes);
}

test("the specimen that lies are told of is sound, and has everything that can be lied about", () => {
  checkFile(sound);
  checkFile(unpacked);
  using image = openImage(sound);
  expect([...image.relr].length).toBeGreaterThan(0);
  for (const tag of [elf.DT_HASH, elf.DT_GNU_HASH, elf.DT_VERDEF, elf.DT_INIT, elf.DT_FINI, elf.DT_FINI_ARRAY])
    expect(image.dynamic.get(tag)).toBeDefined();
});

describe("a lie is caught: about", () => {
  for (const [words, damage, structure, fault] of lies)
    test(words, () => {
      const path = damaged(damage);
      for (const check of ["whole", "tables"] as const) {
        const error = faultOf(() => checkFile(path, check));
        expect([error.path, error.structure]).toEqual([path, structure]);
        expect(error.fault).toMatch(fault);
      }
    });

  for (const [words, damage, structure, fault] of singleRelocations)
    test(`${words}; by a look at the whole`, () => {
      const path = damaged(damage);
      const error = faultOf(() => checkFile(path));
      expect([error.path, error.structure]).toEqual([path, structure]);
      expect(error.fault).toMatch(fault);
      checkFile(path, "tables");
    });

  test("a relative relocation's place, of which there are too many to ask each for its symbol", () => {
    const path = damaged((file) => {
      file.relocation(elf.DT_RELA).r_offset = toVaddr(FAR);
    }, unpacked);
    expect(faultOf(() => checkFile(path)).structure).toBe("DT_RELA");
  });
});

test("a relative relocation that is none is caught, before ld.so asserts it", () => {
  const path = damaged((file) => Object.assign(file.relocation(elf.DT_RELA), { r_type: elf.R_X86_64_64 }), unpacked);
  expect(faultOf(() => checkFile(path)).message).toContain(
    "entry 0 has type 1, and DT_RELACOUNT says that it is relative",
  );
});
