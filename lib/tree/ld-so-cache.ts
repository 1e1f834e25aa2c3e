// /etc/ld.so.cache (glibc, sysdeps/generic/dl-cache.h), in both formats. The old
// one ("ld.so-1.7.0") may be followed by the new one ("glibc-ld.so.cache1.1"),
// which is the one that counts:
//
//   magic and version (20) | nlibs | len_strings | flags (1) | pad (3) |
//   extension offset | unused (12) | entries | strings
//   entry: flags | key | value | osversion | hwcap (64 bits)
//
// Its offsets count from its own beginning, the old format's from behind its
// entries. An extension lists the names of glibc-hwcaps directories.

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
/** hwcap has this bit where its low half is an index into the list of glibc-hwcaps directories. */
const HWCAP_EXTENSION = 1n << 62n;
/** An x86-64 library for glibc 2. */
const FLAGS_X86_64 = 0x0303;

export interface CacheEntry {
  /** A path in the tree. */
  readonly path: string;
  /** The glibc-hwcaps directory that it is in ("x86-64-v3"), if any. */
  readonly hwcap: string | undefined;
}

/** Sonames and the files that answer them, in the cache's order; undefined where the bytes are no cache. What is out of range is passed over. */
export function parseLdSoCache(file: Uint8Array): Map<string, CacheEntry[]> | undefined {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const text = new TextDecoder("latin1").decode(file);
  let start = 0;
  if (text.startsWith(OLD_MAGIC) && file.length >= OLD_HEADER) {
    const count = view.getUint32(12, true);
    const strings = OLD_HEADER + count * OldEntry.size;
    start = alignUp(strings, 8);
    if (!text.startsWith(NEW_MAGIC, start)) return parseOld(view, text, count, strings);
  }
  if (!text.startsWith(NEW_MAGIC, start) || file.length < start + NEW_HEADER) return undefined;

  const hwcaps = readHwcaps(view, text, start);
  const entries = new Map<string, CacheEntry[]>();
  const count = view.getUint32(start + NEW_MAGIC.length, true);
  for (let i = 0; i < count; i++) {
    const at = start + NEW_HEADER + i * NewEntry.size;
    if (at + NewEntry.size > file.length) break;
    const { flags, key, value, hwcap } = NewEntry.at(view, at);
    if (flags !== FLAGS_X86_64) continue;
    if (hwcap === 0n) push(entries, text, start + key, start + value, undefined);
    // Other bits are the platforms of glibc before 2.33, where a plain entry for the same soname exists too.
    else if (hwcap & HWCAP_EXTENSION)
      push(entries, text, start + key, start + value, hwcaps[Number(hwcap & 0xffffffffn)] ?? "unknown");
  }
  return entries;
}

function parseOld(view: DataView, text: string, count: number, strings: number): Map<string, CacheEntry[]> {
  const entries = new Map<string, CacheEntry[]>();
  for (let i = 0; i < count; i++) {
    const at = OLD_HEADER + i * OldEntry.size;
    if (at + OldEntry.size > view.byteLength) break;
    const { flags, key, value } = OldEntry.at(view, at);
    if (flags === FLAGS_X86_64) push(entries, text, strings + key, strings + value, undefined);
  }
  return entries;
}

function push(entries: Map<string, CacheEntry[]>, text: string, key: number, value: number, hwcap?: string): void {
  const soname = stringIn(text, key);
  const path = stringIn(text, value);
  if (soname === undefined || path === undefined) return;
  const known = entries.get(soname);
  if (known) known.push({ path, hwcap });
  else entries.set(soname, [{ path, hwcap }]);
}

function readHwcaps(view: DataView, text: string, start: number): string[] {
  const at = start + view.getUint32(start + EXTENSION_OFFSET, true);
  if (at === start || at + 8 > view.byteLength || view.getUint32(at, true) !== EXTENSION_MAGIC) return [];
  const count = view.getUint32(at + 4, true);
  for (let i = 0; i < count; i++) {
    const section = at + 8 + i * Extension.size;
    if (section + Extension.size > view.byteLength) break;
    const { tag, offset, size } = Extension.at(view, section);
    if (tag !== EXTENSION_HWCAPS || start + offset + size > view.byteLength) continue;
    return Array.from({ length: Math.floor(size / 4) }, (_, k) => {
      return stringIn(text, start + view.getUint32(start + offset + 4 * k, true)) ?? "unknown";
    });
  }
  return [];
}

function stringIn(text: string, start: number): string | undefined {
  const end = text.indexOf("\0", start);
  return start < text.length && end >= 0 ? text.slice(start, end) : undefined;
}
