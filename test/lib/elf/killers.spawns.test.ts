// What kills the process that opens it is refused. That it does is asked of the machine's own ld.so.

import { afterAll, describe, expect, test } from "bun:test";
import { checkFile } from "../../../lib/elf/check.ts";
import * as elf from "../../../lib/elf/constants.ts";
import { PAGE_SIZE, toVaddr } from "../../../lib/memory/numbers.ts";
import { loaderOf, openEach } from "../../hostile/ld-so.ts";
import { faultOf } from "./bytes.ts";
import { Liar, specimen } from "./liar.ts";
import { Scratch } from "./scratch.ts";

const scratch = new Scratch();
afterAll(() => scratch[Symbol.dispose]());

const packed = specimen(scratch, "libpacked.so", "-Wl,-z,pack-relative-relocs");
const unpacked = specimen(scratch, "libunpacked.so");
/** All names are in few chains. */
const hashed = specimen(scratch, "libhashed.so", "-Wl,--hash-style=sysv,--hash-size=1");
const plain = scratch.compile("libplain.so", "static int x; int *y = &x;", "-shared", "-nostdlib");
const chosen = scratch.compile(
  "libchosen.so",
  `int red(void) { return 1; }
  static void *choose(void) { return red; }
  int blue(void) __attribute__((ifunc("choose")));
  int (*table[])(void) = { blue };`,
  ...["-shared", "-fPIC", "-O1"],
);

const FAR = 0x7fff_ffff_f000;
type Killer = readonly [words: string, source: string, damage: (file: Liar) => void, fault: RegExp];

/** The first relocation becomes another. */
const relocate = (file: Liar, values: Partial<ReturnType<Liar["relocation"]>>) =>
  Object.assign(file.relocation(elf.DT_RELA), values);

const killers: Killer[] = [
  // segments
  ["tables that may not be read", packed, (file) => file.each(elf.PT_LOAD, { p_flags: 0 }), /that may not be read$/],
  [
    "zeroes in a page that is beyond the end of the file",
    plain,
    (file) => {
      const { p_vaddr, p_memsz } = file.segment(elf.PT_LOAD);
      const place = { p_vaddr: p_vaddr + p_memsz + PAGE_SIZE, p_filesz: 0, p_memsz: 8, p_align: PAGE_SIZE, p_flags: 6 };
      const p_offset = 0x100_0000 + (place.p_vaddr % PAGE_SIZE);
      Object.assign(file.segment(elf.PT_GNU_STACK), { ...place, p_type: elf.PT_LOAD, p_offset });
    },
    /^its 0 bytes at offset \d+ reach beyond the end of the file/,
  ],
  [
    "a dynamic section that is writable, in a segment that is not",
    plain,
    (file) => file.each(elf.PT_LOAD, { p_flags: elf.PF_R }),
    /^it is to be written to, and its segment may not be$/,
  ],
  [
    "a second dynamic section",
    packed,
    (file) => Object.assign(file.segment(elf.PT_NOTE), { p_type: elf.PT_DYNAMIC, p_flags: elf.PF_R }),
    /./,
  ],
  [
    "program headers that are nowhere",
    packed,
    (file) => Object.assign(file.segment(elf.PT_GNU_STACK), { p_type: elf.PT_PHDR, p_vaddr: FAR }),
    /^they are in no segment that may be read$/,
  ],
  [
    "a note that is nowhere",
    packed,
    (file) => Object.assign(file.segment(elf.PT_NOTE), { p_vaddr: FAR, p_align: 8 }),
    /^the one at vaddr 0x7ffffffff000 is in no segment that may be read$/,
  ],
  [
    "thread-local data at 0",
    specimen(scratch, "libstatic.so", "-Wl,-z,now"),
    (file) => {
      file.segment(elf.PT_TLS).p_vaddr = toVaddr(0);
      relocate(file, { r_type: elf.R_X86_64_TPOFF64, r_sym: 0 });
      file.remove(elf.DT_RELACOUNT);
    },
    /^it is at vaddr 0$/,
  ],
  // the dynamic section
  ...(
    [
      [unpacked, "DT_RELA", "DT_RELASZ", elf.DT_RELASZ],
      [unpacked, "DT_RELA", "DT_RELAENT", elf.DT_RELAENT],
      [packed, "DT_RELR", "DT_RELRSZ", elf.DT_RELRSZ],
      [packed, "DT_RELR", "DT_RELRENT", elf.DT_RELRENT],
      [packed, "DT_PLTREL", "DT_JMPREL", elf.DT_JMPREL],
      [packed, "DT_PLTREL", "DT_PLTRELSZ", elf.DT_PLTRELSZ],
      [packed, "DT_INIT_ARRAY", "DT_INIT_ARRAYSZ", elf.DT_INIT_ARRAYSZ],
      [packed, "DT_FINI_ARRAY", "DT_FINI_ARRAYSZ", elf.DT_FINI_ARRAYSZ],
    ] as const
  ).map(
    ([source, one, other, tag]): Killer => [
      `${one} without ${other}`,
      source,
      (file) => file.remove(tag),
      new RegExp(`^it has ${one}, and no ${other}$`),
    ],
  ),
  [
    "functions that are bound lazily, and no global offset table",
    packed,
    (file) => file.remove(elf.DT_PLTGOT),
    /^DT_JMPREL is bound lazily, and DT_PLTGOT is in no writable segment$/,
  ],
  [
    "a global offset table that is read-only",
    packed,
    (file) => file.set(elf.DT_PLTGOT, 0),
    /^DT_JMPREL is bound lazily, and DT_PLTGOT is in no writable segment$/,
  ],
  [
    "a filter of nothing",
    packed,
    (file) => Object.assign(file.entry(elf.DT_STRSZ), { d_tag: elf.DT_FILTER, d_val: 0 }),
    /^it is a filter of nothing$/,
  ],
  // versions
  [
    "versions, and no DT_VERSYM",
    packed,
    (file) => file.remove(elf.DT_VERSYM),
    /^there are \d+ versions, and no DT_VERSYM$/,
  ],
  [
    "DT_VERSYM, and no versions",
    packed,
    (file) => {
      file.remove(elf.DT_VERDEF);
      file.remove(elf.DT_VERNEED);
    },
    /^symbol \d+ has version \d+, and there are 0$/,
  ],
  // symbols
  [
    "a function that is chosen by data",
    chosen,
    (file) => {
      file.symbol("blue").st_value = file.symbol("table").st_value;
    },
    /^symbol \d+ is to be called \(IFUNC\), and is in no executable segment$/,
  ],
  [
    "a function that is chosen at an absolute place",
    chosen,
    (file) => {
      file.symbol("blue").st_shndx = elf.SHN_ABS;
    },
    /^symbol \d+ is to be called/,
  ],
  [
    "a local symbol in the hash table whose name is nowhere",
    packed,
    (file) => Object.assign(file.symbol("blue"), { st_info: elf.STT_FUNC, st_name: 0x7fff_ffff }),
    /^the name of symbol \d+ is beyond the string table$/,
  ],
  [
    "the same, in a table that only DT_HASH covers",
    hashed,
    (file) => Object.assign(file.symbol("blue"), { st_info: elf.STT_FUNC, st_name: 0x7fff_ffff }),
    /^the name of symbol \d+ is beyond the string table$/,
  ],
  // relocations
  [
    "a slot in a read-only segment",
    unpacked,
    (file) => relocate(file, { r_offset: toVaddr(0) }),
    /^entry 0 relocates vaddr 0x0,/,
  ],
  [
    "a slot in the dynamic section",
    unpacked,
    (file) => relocate(file, { r_offset: toVaddr(dynamicValue(file, elf.DT_INIT_ARRAYSZ)) }),
    /^entry 0 relocates vaddr 0x[0-9a-f]+, which is in no writable segment$/,
  ],
  [
    "a slot in a read-only segment (packed)",
    packed,
    (file) => file.view.setBigUint64(file.table(elf.DT_RELR), 0n, true),
    /^vaddr 0x0 is in no writable segment$/,
  ],
  [
    "nothing relocated among relative relocations",
    unpacked,
    (file) => relocate(file, { r_type: elf.R_X86_64_NONE }),
    /^entry 0 has type 0, and/,
  ],
  [
    "a thread-local descriptor in a file without thread-local data",
    plain,
    (file) => {
      relocate(file, { r_type: elf.R_X86_64_TLSDESC });
      file.remove(elf.DT_RELACOUNT);
    },
    /^entry 0 is for thread-local data, which has no PT_TLS$/,
  ],
  [
    "thread-local data that is not aligned",
    unpacked,
    (file) => {
      file.segment(elf.PT_TLS).p_align = 0;
      relocate(file, { r_type: elf.R_X86_64_TPOFF64, r_sym: 0 });
      file.remove(elf.DT_RELACOUNT);
    },
    /^entry 0 is for thread-local data, which has no PT_TLS$/,
  ],
  [
    "a copy of more than there is room for",
    chosen,
    (file) => {
      const symbol = file.indexOf("table");
      file.symbol("table").st_size = 0x10_0000;
      relocate(file, { r_type: elf.R_X86_64_COPY, r_sym: symbol });
      file.remove(elf.DT_RELACOUNT);
    },
    /^entry 0 copies what is in no segment$/,
  ],
  [
    "the size of a symbol that may be missing",
    unpacked,
    (file) => {
      relocate(file, { r_type: elf.R_X86_64_SIZE64, r_sym: file.indexOf("__gmon_start__") });
      file.remove(elf.DT_RELACOUNT);
    },
    /^entry 0 wants the size of a weak symbol$/,
  ],
  [
    "a function's address from data",
    unpacked,
    (file) => {
      relocate(file, { r_type: elf.R_X86_64_IRELATIVE, r_addend: file.relocation(elf.DT_RELA).r_offset });
      file.remove(elf.DT_RELACOUNT);
    },
    /^entry 0 calls what is in no executable segment$/,
  ],
  // functions
  [
    "code that becomes read-only",
    unpacked,
    (file) => Object.assign(file.segment(elf.PT_GNU_RELRO), { p_vaddr: 0, p_memsz: PAGE_SIZE * 3 }),
    /is in no executable segment$/,
  ],
  [
    "a constructor that is no code",
    unpacked,
    (file) => relocate(file, { r_addend: 0 }),
    /^entry 0 leads to no executable segment$/,
  ],
  [
    "a constructor that is not relocated",
    unpacked,
    (file) => relocate(file, { r_offset: toVaddr(file.relocation(elf.DT_RELA).r_offset + 8) }),
    /^entry 0 leads to no executable segment$/,
  ],
  [
    "a constructor that is relocated twice (packed)",
    packed,
    (file) => {
      const table = file.table(elf.DT_RELR);
      file.bytes.copyWithin(table + 8, table, table + 8);
      file.set(elf.DT_RELRSZ, 16);
    },
    /^entry 0 leads to no executable segment$/,
  ],
  [
    "more constructors than there are",
    unpacked,
    (file) => file.set(elf.DT_INIT_ARRAYSZ, file.entry(elf.DT_INIT_ARRAYSZ).d_val + 0x40),
    /leads to no executable segment$/,
  ],
];

/** The vaddr of the value of an entry of the dynamic section. */
function dynamicValue(file: Liar, tag: number): number {
  const { p_vaddr, p_offset } = file.segment(elf.PT_DYNAMIC);
  return file.placeOf(tag) - p_offset + p_vaddr + 8;
}

describe("what kills ld.so is refused:", () => {
  const files = killers.map(([, source, damage], i) => {
    const file = new Liar(source);
    damage(file);
    return scratch.write(`killer-${i}.so`, file.bytes);
  });
  const loader = loaderOf(scratch);
  const [now, lazily] = (["now", "lazy"] as const).map((mode) => openEach(loader, mode, files));

  test.each(killers.map(([words, , , fault], i) => [words, fault, i] as const))("%s", (_, fault, i) => {
    const path = files[i] ?? "";
    expect([now?.[i], lazily?.[i]]).toContainEqual(expect.stringMatching(/^killed: /));
    expect(faultOf(() => checkFile(path)).fault).toMatch(fault);
  });
});

test("the libraries are sound before they are damaged, and ld.so opens them", () => {
  const sound = [packed, unpacked, plain, chosen];
  for (const path of sound) checkFile(path);
  expect(openEach(loaderOf(scratch), "lazy", sound)).toEqual(sound.map(() => "opened"));
});
