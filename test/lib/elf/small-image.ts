// A shared object of some 1,100 bytes with one of everything that our reader
// reads, written by hand. Its second segment is mapped 0x1000 further on than it
// lies in the file, so that an offset taken for a vaddr shows.

import { assemble, half, type Part, text, word, xword } from "./bytes.ts";

const STRINGS = [
  "",
  "libsmall.so.1",
  "libc.so.6",
  "V1",
  "V2",
  "GLIBC_2.2.5",
  "puts",
  "red",
  "blue",
  "table",
  "/opt/run",
];

/** Where a string begins in .dynstr. */
const string = (wanted: string): number => {
  let at = 0;
  for (const candidate of STRINGS) {
    if (candidate === wanted) return at;
    at += text(candidate).length;
  }
  throw new Error(`"${wanted}" is not in the string table`);
};

const BIAS_OF_DATA = 0x1000;

const phdr = (type: number, flags: number, offset: number, vaddr: number, size: number): number[][] => [
  word(type),
  word(flags),
  xword(offset),
  xword(vaddr),
  xword(vaddr), // p_paddr
  xword(size), // p_filesz
  xword(size), // p_memsz
  xword(8), // p_align
];

const sym = (name: string, info: number, shndx: number, value: number, size: number): number[][] => [
  word(string(name)),
  [info, 0],
  half(shndx),
  xword(value),
  xword(size),
];

const PARTS: readonly Part[] = [
  [
    "ehdr",
    (at) => [
      [0x7f, 0x45, 0x4c, 0x46], // "\x7fELF"
      [2, 1, 1, 0], // ELFCLASS64, ELFDATA2LSB, EV_CURRENT, System V
      xword(0),
      half(3), // ET_DYN
      half(62), // EM_X86_64
      word(1),
      xword(0), // e_entry
      xword(at("phdrs")),
      xword(0), // e_shoff: there are no sections
      word(0),
      half(64), // e_ehsize
      half(56), // e_phentsize
      half(4), // e_phnum
      half(0),
      half(0),
      half(0),
    ],
  ],
  [
    "phdrs",
    (at) => [
      ...phdr(1, 4, 0, 0, at("data")), // PT_LOAD, r
      ...phdr(1, 6, at("data"), at("data") + BIAS_OF_DATA, at("end") - at("data")), // PT_LOAD, rw
      ...phdr(2, 6, at("dynamic"), at("dynamic") + BIAS_OF_DATA, at("end") - at("dynamic")), // PT_DYNAMIC
      ...phdr(4, 4, at("note"), at("note"), at("hash") - at("note")), // PT_NOTE
    ],
  ],
  ["note", () => [word(4), word(8), word(3), text("GNU"), [1, 2, 3, 4, 5, 6, 7, 8]]], // NT_GNU_BUILD_ID
  [
    "hash",
    () => [
      word(1), // nbucket
      word(6), // nchain
      word(5), // bucket[0]
      ...[0, 0, 0, 2, 3, 4].map(word), // chain: 5, 4, 3, 2, end
    ],
  ],
  [
    "gnu-hash",
    () => [
      word(1), // nbuckets
      word(2), // symoffset: puts is undefined
      word(1), // bloom_size
      word(6), // bloom_shift
      xword(-1), // a filter that lets everything pass
      word(2), // bucket[0]
      word(0x0b88a540), // red@V1
      word(0x0b88a540), // red@@V2
      word(0x7c94a78c), // blue: bit 0 does not belong to the hash, 0x7c94a78d
      word(0x1068fa8d), // table@@V2, where bit 0 ends the chain
    ],
  ],
  [
    "dynsym",
    (at) => [
      ...sym("", 0, 0, 0, 0),
      ...sym("puts", 0x12, 0, 0, 0), // GLOBAL FUNC, undefined
      ...sym("red", 0x12, 1, 0x10, 4), // GLOBAL FUNC
      ...sym("red", 0x12, 1, 0x20, 8),
      ...sym("blue", 0x22, 1, 0x30, 12), // WEAK FUNC
      ...sym("table", 0x11, 2, at("data") + BIAS_OF_DATA, 16), // GLOBAL OBJECT
    ],
  ],
  ["dynstr", () => STRINGS.map(text)],
  // null, puts@GLIBC_2.2.5, red@V1 (hidden), red@@V2, blue (VER_NDX_GLOBAL), table@@V2
  ["versym", () => [0, 4, 0x8002, 3, 1, 3].map(half)],
  [
    "verdef",
    () => [
      ...[half(1), half(1), half(1), half(1), word(0), word(20), word(28)], // VER_FLG_BASE
      ...[word(string("libsmall.so.1")), word(0)],
      ...[half(1), half(0), half(2), half(1), word(0x591), word(20), word(28)],
      ...[word(string("V1")), word(0)],
      ...[half(1), half(0), half(3), half(2), word(0x592), word(20), word(0)],
      ...[word(string("V2")), word(8)],
      ...[word(string("V1")), word(0)], // V2 inherits V1
    ],
  ],
  [
    "verneed",
    () => [
      ...[half(1), half(1), word(string("libc.so.6")), word(16), word(0)],
      ...[word(0x09691a75), half(0), half(4), word(string("GLIBC_2.2.5")), word(0)],
    ],
  ],
  [
    "rela",
    (at) => [
      ...[xword(at("data") + BIAS_OF_DATA), word(8), word(0), xword(0x10)], // RELATIVE
      ...[xword(at("data") + BIAS_OF_DATA + 8), word(1), word(5), xword(-4)], // 64, table - 4
    ],
  ],
  ["jmprel", (at) => [xword(at("data") + BIAS_OF_DATA + 16), word(7), word(1), xword(0)]], // JUMP_SLOT, puts
  ["relr", (at) => [xword(at("data") + BIAS_OF_DATA + 24), xword(0b101)]], // one slot, and the second one behind it
  ["data", () => [new Array<number>(48).fill(0xee)]],
  [
    "dynamic",
    (at) => {
      const entry = (tag: number, value: number): number[] => [...xword(tag), ...xword(value)];
      return [
        entry(1, string("libc.so.6")), // DT_NEEDED
        entry(14, string("libsmall.so.1")), // DT_SONAME
        entry(29, string("/opt/run")), // DT_RUNPATH
        entry(4, at("hash")), // DT_HASH
        entry(0x6ffffef5, at("gnu-hash")), // DT_GNU_HASH
        entry(5, at("dynstr")), // DT_STRTAB
        entry(10, STRINGS.flatMap(text).length), // DT_STRSZ
        entry(6, at("dynsym")), // DT_SYMTAB
        entry(11, 24), // DT_SYMENT
        entry(7, at("rela")), // DT_RELA
        entry(8, 48), // DT_RELASZ
        entry(9, 24), // DT_RELAENT
        entry(0x6ffffff9, 1), // DT_RELACOUNT
        entry(23, at("jmprel")), // DT_JMPREL
        entry(2, 24), // DT_PLTRELSZ
        entry(20, 7), // DT_PLTREL: RELA
        entry(3, at("data") + BIAS_OF_DATA), // DT_PLTGOT
        entry(36, at("relr")), // DT_RELR
        entry(35, 16), // DT_RELRSZ
        entry(37, 8), // DT_RELRENT
        entry(0x6ffffff0, at("versym")), // DT_VERSYM
        entry(0x6ffffffc, at("verdef")), // DT_VERDEF
        entry(0x6ffffffd, 3), // DT_VERDEFNUM
        entry(0x6ffffffe, at("verneed")), // DT_VERNEED
        entry(0x6fffffff, 1), // DT_VERNEEDNUM
        entry(0x6ffffffb, 0x800), // DT_FLAGS_1: NODEFLIB
        entry(0, 0), // DT_NULL
      ];
    },
  ],
  ["end", () => []],
];

export type Small = { readonly bytes: Uint8Array<ArrayBuffer>; readonly at: (name: string) => number };

export const smallImage = (): Small => assemble(PARTS);

/** The image with other bytes at an offset. */
export function changed(offset: number, ...bytes: number[][]): Uint8Array<ArrayBuffer> {
  const image = smallImage().bytes;
  image.set(bytes.flat(), offset);
  return image;
}

/** The image with another value for an entry of its dynamic section. Throws where it has no such entry. */
export function withDynamic(tag: number, value: number | bigint): Uint8Array<ArrayBuffer> {
  return changed(dynamicAt(tag) + 8, xword(value));
}

/** The image without an entry of its dynamic section: the tag becomes one that nobody reads. */
export function withoutDynamic(...tags: number[]): Uint8Array<ArrayBuffer> {
  const image = smallImage().bytes;
  for (const tag of tags) image.set(xword(0x60000000), dynamicAt(tag));
  return image;
}

function dynamicAt(tag: number): number {
  const { bytes, at } = smallImage();
  const view = new DataView(bytes.buffer);
  for (let offset = at("dynamic"); offset < at("end"); offset += 16)
    if (view.getUint32(offset, true) === tag) return offset;
  throw new Error(`The dynamic section has no entry ${tag}`);
}
