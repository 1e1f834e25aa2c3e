// What ld.so accepts, the checks accept, however odd it is, and everything can be read of
// it that is wanted. That ld.so does is asked of the machine's own.

import { afterAll, describe, expect, test } from "bun:test";
import * as elf from "../../../lib/elf/constants.ts";
import { alignDown, alignUp, PAGE_SIZE, toOffset, toVaddr } from "../../../lib/memory/numbers.ts";
import { Liar, specimen } from "./liar.ts";
import { expectReadable, openedByLdSo } from "./opener.ts";
import { Scratch } from "./scratch.ts";

const scratch = new Scratch();
afterAll(() => scratch[Symbol.dispose]());

const both = specimen(scratch, "libboth.so");
const sysv = specimen(scratch, "libsysv.so", "-Wl,--hash-style=sysv");
/** Nothing is found by its name in it. */
const silent = scratch.compile("libsilent.so", "static int x;", "-shared", "-nostdlib", "-Wl,--hash-style=gnu");

const FAR = 0x7fff_ffff_f000;
type Oddity = readonly [words: string, change: (file: Liar) => void, source?: string];

const oddities: Oddity[] = [
  // segments
  [
    "a segment of zeroes that says to be behind the end of the file",
    (file) => {
      const { p_vaddr, p_memsz } = file.segment(elf.PT_LOAD);
      const end = alignUp(toVaddr(p_vaddr + p_memsz), PAGE_SIZE);
      const place = { p_vaddr: end, p_offset: 0x100_0000, p_filesz: 0, p_memsz: PAGE_SIZE, p_align: PAGE_SIZE };
      Object.assign(file.segment(elf.PT_GNU_STACK), { p_type: elf.PT_LOAD, ...place });
    },
  ],
  ["segments that are aligned to less than a page", (file) => file.each(elf.PT_LOAD, { p_align: 16 })],
  ["segments that are not aligned", (file) => file.each(elf.PT_LOAD, { p_align: 0 })],
  ["segments whose alignment is no power of two", (file) => file.each(elf.PT_LOAD, { p_align: 3 * PAGE_SIZE })],
  [
    "a segment with more in the file than in memory, in its last page",
    (file) => {
      const load = file.segment(elf.PT_LOAD);
      load.p_memsz = load.p_filesz - 8;
    },
  ],
  [
    "segments in another order, between the first and the last",
    (file) => {
      const [, one, other] = file.all(elf.PT_LOAD);
      file.swap(one, other);
    },
  ],
  [
    "segments that overlap",
    (file) => {
      const [first, , third] = file.all(elf.PT_LOAD);
      const size = (third?.p_vaddr ?? 0) + 8;
      Object.assign(first ?? {}, { p_filesz: size, p_memsz: size });
    },
  ],
  [
    "a file that ends before its last segment does, in the same page",
    (file) => {
      const { p_offset, p_filesz } = file.segment(elf.PT_LOAD);
      file.length = p_offset + p_filesz - 4;
    },
  ],
  ["program headers at the end of the file", (file) => file.moveHeaders()],
  [
    "an interpreter that is nowhere, in a library",
    (file) => Object.assign(file.segment(elf.PT_NOTE), { p_type: elf.PT_INTERP, p_offset: 2 ** 40 }),
  ],
  // RELRO
  [
    "RELRO that begins some bytes before its segment (mold 1.10)",
    (file) => {
      const relro = file.segment(elf.PT_GNU_RELRO);
      Object.assign(relro, { p_vaddr: relro.p_vaddr - 4, p_memsz: relro.p_memsz + 4 });
    },
  ],
  [
    "RELRO that begins a page before its segment",
    (file) => {
      const relro = file.segment(elf.PT_GNU_RELRO);
      Object.assign(relro, { p_vaddr: relro.p_vaddr - PAGE_SIZE, p_memsz: relro.p_memsz + PAGE_SIZE });
    },
  ],
  [
    "RELRO that is not a page, wherever it says to be",
    (file) => Object.assign(file.segment(elf.PT_GNU_RELRO), { p_vaddr: FAR, p_memsz: 16 }),
  ],
  ["RELRO that is nothing", (file) => Object.assign(file.segment(elf.PT_GNU_RELRO), { p_vaddr: 2 ** 60, p_memsz: 0 })],
  [
    "RELRO that ends with its segment's last page",
    (file) => {
      const relro = file.segment(elf.PT_GNU_RELRO);
      const { p_vaddr, p_memsz } = file.segment(elf.PT_LOAD);
      relro.p_memsz = alignDown(p_vaddr + p_memsz, PAGE_SIZE) - relro.p_vaddr;
    },
  ],
  // thread-local data
  [
    "thread-local data whose alignment is no power of two",
    (file) => {
      file.segment(elf.PT_TLS).p_align = 3;
    },
  ],
  // the dynamic section
  [
    "where the dynamic section is in the file",
    (file) => {
      file.segment(elf.PT_DYNAMIC).p_offset = toOffset(0);
    },
  ],
  [
    "a dynamic section that says to be larger than its segment",
    (file) => Object.assign(file.segment(elf.PT_DYNAMIC), { p_filesz: 2 ** 40, p_memsz: 2 ** 20 }),
  ],
  [
    "a dynamic section that says to be one entry",
    (file) => {
      file.segment(elf.PT_DYNAMIC).p_filesz = 16;
    },
  ],
  // notes
  [
    "a note that is nowhere, and not aligned to 8 bytes",
    (file) => Object.assign(file.segment(elf.PT_NOTE), { p_vaddr: FAR, p_align: 4 }),
  ],
  // strings
  [
    "fewer strings than there are (patchelf 0.14)",
    (file) => file.set(elf.DT_STRSZ, file.entry(elf.DT_STRSZ).d_val - 3),
  ],
  ["hardly any string", (file) => file.set(elf.DT_STRSZ, 1)],
  ["more strings than there can be", (file) => file.set(elf.DT_STRSZ, 2 ** 40)],
  ["not how many strings there are", (file) => file.remove(elf.DT_STRSZ)],
  // symbols
  ["the size of a symbol", (file) => file.set(elf.DT_SYMENT, 23)],
  ["the name of a symbol that nobody looks up", (file) => file.setWord(file.table(elf.DT_SYMTAB), 0x7fff_ffff)],
  [
    "an absolute symbol, whatever its value",
    (file) => Object.assign(file.symbol("say"), { st_shndx: elf.SHN_ABS, st_value: 2 ** 50 }),
  ],
  [
    "a symbol that marks the end of the image",
    (file) => {
      const { p_vaddr, p_memsz } = file.segment(elf.PT_LOAD);
      file.symbol("say").st_value = toVaddr(p_vaddr + p_memsz);
    },
  ],
  [
    "a mark beyond the image (--defsym)",
    (file) =>
      Object.assign(file.symbol("say"), { st_info: elf.STB_GLOBAL << 4, st_size: 0, st_value: toVaddr(0x4000_0000) }),
  ],
  // hash tables
  ["a DT_HASH that is nowhere beside a DT_GNU_HASH", (file) => file.set(elf.DT_HASH, FAR)],
  ["a DT_HASH with absurd counts beside a DT_GNU_HASH", (file) => file.setWord(file.table(elf.DT_HASH), 0x7fff_ffff)],
  ["a DT_HASH without symbols beside a DT_GNU_HASH", (file) => file.setWord(file.table(elf.DT_HASH, 4), 0)],
  ["a DT_HASH that says to have no symbols", (file) => file.setWord(file.table(elf.DT_HASH, 4), 0), sysv],
  ["a DT_HASH that says to have billions", (file) => file.setWord(file.table(elf.DT_HASH, 4), 0x7fff_ffff), sysv],
  ["a DT_GNU_HASH without buckets", (file) => file.setWord(file.table(elf.DT_GNU_HASH), 0), silent],
  [
    "a DT_GNU_HASH without buckets, and with anything behind them",
    (file) => {
      file.setWord(file.table(elf.DT_GNU_HASH), 0);
      file.setWord(file.table(elf.DT_GNU_HASH, 4), 0x7fff_ffff);
      file.setWord(file.table(elf.DT_GNU_HASH, 8), 0x4000_0000);
    },
    silent,
  ],
  ["no hash table", (file) => file.remove(elf.DT_GNU_HASH), silent],
  // versions
  ["not how many versions it needs", (file) => file.remove(elf.DT_VERNEEDNUM)],
  ["not how many versions it has", (file) => file.set(elf.DT_VERDEFNUM, 0)],
  [
    "a file of which it needs no versions, and does",
    (file) => file.view.setUint16(file.table(elf.DT_VERNEED, 2), 0, true),
  ],
  ["the version of a symbol that nobody looks up", (file) => file.view.setUint16(file.table(elf.DT_VERSYM), 77, true)],
  [
    "more versions than symbols have",
    (file) => file.view.setUint16(file.table(elf.DT_VERNEED, 16 + 6), 1000, true),
    specimen(scratch, "libunbound.so", "-Wl,-z,now"),
  ],
  // relocations and functions
  ["relocations in a segment that is read-only otherwise", () => {}, specimen(scratch, "libtext.so", "-Wl,-z,notext")],
  [
    "a place where nothing is relocated",
    (file) => {
      Object.assign(file.relocation(elf.DT_RELA), { r_type: elf.R_X86_64_NONE, r_offset: FAR });
    },
    specimen(scratch, "libwithout.so", "-Wl,-z,pack-relative-relocs"),
  ],
  ["one byte of relocations more", (file) => file.set(elf.DT_RELASZ, file.entry(elf.DT_RELASZ).d_val + 1)],
  ["one byte of PLT relocations less", (file) => file.set(elf.DT_PLTRELSZ, file.entry(elf.DT_PLTRELSZ).d_val - 1)],
  ["half a constructor", (file) => file.set(elf.DT_INIT_ARRAYSZ, file.entry(elf.DT_INIT_ARRAYSZ).d_val + 4)],
  ["half a destructor", (file) => file.set(elf.DT_FINI_ARRAYSZ, file.entry(elf.DT_FINI_ARRAYSZ).d_val + 4)],
];

describe("ld.so accepts, and so do we:", () => {
  const files = oddities.map(([, change, source = both], i) => {
    const file = new Liar(source);
    change(file);
    return scratch.write(`odd-${i}.so`, file.bytes);
  });
  const native = openedByLdSo(scratch, files);

  test.each(oddities.map(([words, , source], i) => [words, source === silent ? "opened" : "1", i] as const))(
    "%s",
    (_, expected, i) => {
      expect(native[i]).toBe(expected);
      const path = files[i] ?? "";
      expectReadable(scratch, path);
    },
  );
});

test("a sound library is opened, for comparison", () => {
  expect(openedByLdSo(scratch, [both, sysv, silent])).toEqual(["1", "1", "opened"]);
});
