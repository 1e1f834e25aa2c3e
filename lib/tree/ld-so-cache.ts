// /etc/ld.so.cache (glibc, sysdeps/generic/dl-cache.h), in both formats. The old one ("ld.so-1.7.0") may be followed by
// the new one ("glibc-ld.so.cache1.1"), which then takes precedence:
//
//   magic and version (20) | nlibs | len_strings | flags (1) | pad (3) |
//   extension offset | unused (12) | entries | strings
//   entry: flags | key | value | osversion | hwcap (64 bits)
//
// String offsets count from the new format's start, or from the end of the old format's entries. Entries are sorted in
// descending order of ld.so's own comparison, and found by binary search as in ld.so. An extension lists the names of
// glibc-hwcaps directories.

import { layout, u32, u64bits } from "../memory/layout.ts";
import { alignUp } from "../memory/numbers.ts";

const OLD_MAGIC = "ld.so-1.7.0";
const NEW_MAGIC = "glibc-ld.so.cache1.1";
const OldEntry = layout("file_entry", { flags: u32, key: u32, value: u32 });
const NewEntry = layout("file_entry_new", { flags: u32, key: u32, value: u32, osversion: u32, hwcap: u64bits });
const OLD_HEADER = 16;
const NEW_HEADER = 48;
const EXTENSION_OFFSET = 32;
const EXTENSION_MAGIC = 0xeaa42174;
const EXTENSION_HWCAPS = 1;
const Extension = layout("cache_extension_section", { tag: u32, flags: u32, offset: u32, size: u32 });
/** If hwcap has this bit, its low half is an index into the list of glibc-hwcaps directories. */
const HWCAP_EXTENSION = 1n << 62n;
/** No name, path or number in a name is longer, in bytes. */
const LONGEST = 4096;
/** More libraries of one name, or directories of glibc-hwcaps, than there are. */
const MOST = 1024;
/** An x86-64 library for glibc 2. */
const FLAGS_X86_64 = 0x0303;

export interface CacheEntry {
  /** A path in the tree. */
  readonly path: string;
  /** Its glibc-hwcaps directory ("x86-64-v3"), if any. */
  readonly hwcap: string | undefined;
}

const decoder = new TextDecoder();
const encoder = new TextEncoder();

/** Out-of-range data is skipped. */
export class LdSoCache {
  readonly #count: number;
  #hwcaps?: readonly string[];

  private constructor(
    private readonly file: Uint8Array,
    private readonly view: DataView,
    /** Where the entries begin, and the size of one, in bytes. */
    private readonly entries: number,
    private readonly entrySize: number,
    count: number,
    /** The base of string offsets. */
    private readonly strings: number,
  ) {
    this.#count = Math.max(0, Math.min(count, Math.floor((file.length - entries) / entrySize)));
  }

  /** Undefined if the bytes are not a cache. */
  static parse(file: Uint8Array): LdSoCache | undefined {
    const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
    const startsWith = (magic: string, at: number) =>
      at + magic.length <= file.length && decoder.decode(file.subarray(at, at + magic.length)) === magic;
    let start = 0;
    if (startsWith(OLD_MAGIC, 0) && file.length >= OLD_HEADER) {
      const count = view.getUint32(12, true);
      const strings = OLD_HEADER + count * OldEntry.size;
      start = alignUp(strings, 8);
      if (!startsWith(NEW_MAGIC, start)) return new LdSoCache(file, view, OLD_HEADER, OldEntry.size, count, strings);
    }
    if (!startsWith(NEW_MAGIC, start) || file.length < start + NEW_HEADER) return undefined;
    const count = view.getUint32(start + NEW_MAGIC.length, true);
    return new LdSoCache(file, view, start + NEW_HEADER, NewEntry.size, count, start);
  }

  /** The files for a soname, in the cache's order. */
  find(soname: string): CacheEntry[] {
    const name = encoder.encode(soname);
    let low = 0;
    let high = this.#count - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      // find the first of several entries with the same key
      if (this.#compare(name, middle) < 0) low = middle + 1;
      else high = middle;
    }
    const found: CacheEntry[] = [];
    const end = Math.min(this.#count, low + MOST);
    for (let i = low; i < end && this.#compare(name, i) === 0; i++) {
      const entry = this.#entryAt(i);
      if (entry) found.push(entry);
    }
    return found;
  }

  /** The sonames of all its x86-64 libraries, each once. */
  get sonames(): Set<string> {
    const sonames = new Set<string>();
    for (let i = 0; i < this.#count; i++) {
      const { flags, key } = OldEntry.at(this.view, this.entries + i * this.entrySize);
      const soname = flags === FLAGS_X86_64 ? this.#stringAt(this.strings + key) : undefined;
      if (soname !== undefined) sonames.add(soname);
    }
    return sonames;
  }

  #entryAt(index: number): CacheEntry | undefined {
    const at = this.entries + index * this.entrySize;
    const { flags, value } = OldEntry.at(this.view, at);
    const path = this.#stringAt(this.strings + value);
    if (flags !== FLAGS_X86_64 || path === undefined) return undefined;
    if (this.entrySize === OldEntry.size) return { path, hwcap: undefined };
    const { hwcap } = NewEntry.at(this.view, at);
    if (hwcap === 0n) return { path, hwcap: undefined };
    // Other bits are platforms of glibc before 2.33, which has a plain entry for the same soname too.
    if (!(hwcap & HWCAP_EXTENSION)) return undefined;
    this.#hwcaps ??= this.#readHwcaps();
    return { path, hwcap: this.#hwcaps[Number(hwcap & 0xffffffffn)] ?? "unknown" };
  }

  /** Like _dl_cache_libcmp: runs of digits compare as numbers, and sort after anything else. */
  #compare(name: Uint8Array, index: number): number {
    const { file } = this;
    let other = this.strings + this.view.getUint32(this.entries + index * this.entrySize + OldEntry.offsetOf.key, true);
    let at = 0;
    for (;;) {
      const one = name[at] ?? 0;
      const two = file[other] ?? 0;
      if (isDigit(one) && isDigit(two)) {
        let first = 0;
        let second = 0;
        for (; isDigit(name[at] ?? 0); at++) first = first * 10 + (name[at] ?? 0) - ZERO;
        const last = other + LONGEST;
        for (; other < last && isDigit(file[other] ?? 0); other++) second = second * 10 + (file[other] ?? 0) - ZERO;
        if (first !== second) return first - second;
        continue;
      }
      if (isDigit(one)) return 1;
      if (isDigit(two)) return -1;
      // compared as char, which is signed on x86-64
      if (one !== two || one === 0) return ((one << 24) >> 24) - ((two << 24) >> 24);
      at++;
      other++;
    }
  }

  #stringAt(start: number): string | undefined {
    const string = this.file.subarray(start, start + LONGEST);
    const end = string.indexOf(0);
    return end >= 0 ? decoder.decode(string.subarray(0, end)) : undefined;
  }

  #readHwcaps(): string[] {
    const view = this.view;
    const start = this.strings;
    const at = start + view.getUint32(start + EXTENSION_OFFSET, true);
    if (at === start || at + 8 > view.byteLength || view.getUint32(at, true) !== EXTENSION_MAGIC) return [];
    const count = view.getUint32(at + 4, true);
    for (let i = 0; i < count; i++) {
      const section = at + 8 + i * Extension.size;
      if (section + Extension.size > view.byteLength) break;
      const { tag, offset, size } = Extension.at(view, section);
      if (tag !== EXTENSION_HWCAPS || start + offset + size > view.byteLength) continue;
      return Array.from({ length: Math.min(MOST, Math.floor(size / 4)) }, (_, k) => {
        return this.#stringAt(start + view.getUint32(start + offset + 4 * k, true)) ?? "unknown";
      });
    }
    return [];
  }
}

const ZERO = 0x30;
const isDigit = (byte: number): boolean => byte >= ZERO && byte < ZERO + 10;
