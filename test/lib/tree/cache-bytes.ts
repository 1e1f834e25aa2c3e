// ld.so.cache, written by hand, in both formats (glibc, sysdeps/generic/dl-cache.h).

import { text, word, xword } from "../elf/bytes.ts";

export interface Entry {
  readonly soname: string;
  readonly path: string;
  /** 0x303: x86-64; 3: i386. */
  readonly flags?: number;
  readonly hwcap?: bigint;
}

export const X86_64 = 0x0303;
export const I386 = 3;

const bytes = (...parts: number[][]): number[] => parts.flat();
const ascii = (value: string): number[] => [...new TextEncoder().encode(value)];
const padded = (list: number[], alignment: number): number[] => [
  ...list,
  ...new Array<number>((alignment - (list.length % alignment)) % alignment).fill(0),
];

/** Strings behind each other, and where each begins. */
function stringTable(entries: readonly Entry[]): { table: number[]; at: (value: string) => number } {
  const positions = new Map<string, number>();
  const table: number[] = [];
  for (const { soname, path } of entries)
    for (const value of [soname, path]) {
      if (positions.has(value)) continue;
      positions.set(value, table.length);
      table.push(...text(value));
    }
  return { table, at: (value) => positions.get(value) ?? 0 };
}

/** "ld.so-1.7.0": offsets count from the strings. */
export function oldCache(entries: readonly Entry[]): Uint8Array {
  const { table, at } = stringTable(entries);
  const records = entries.flatMap(({ soname, path, flags = X86_64 }) => [
    ...word(flags),
    ...word(at(soname)),
    ...word(at(path)),
  ]);
  return Uint8Array.from([...ascii("ld.so-1.7.0"), 0, ...word(entries.length), ...records, ...table]);
}

export interface NewOptions {
  /** The names of glibc-hwcaps directories: entries with bit 62 of hwcap refer to them by index. */
  readonly hwcaps?: readonly string[];
  /** How many bytes of the file are in front: the extension's offsets count from there (glibc 2.33 and later). */
  readonly before?: number;
}

/** "glibc-ld.so.cache1.1": offsets count from its magic. */
export function newCache(entries: readonly Entry[], { hwcaps, before = 0 }: NewOptions = {}): Uint8Array {
  const HEADER = 48;
  const { table, at } = stringTable(entries);
  const start = HEADER + 24 * entries.length;
  const names = (hwcaps ?? []).map((name) => ({ name, at: 0 }));
  const strings = [...table];
  for (const name of names) {
    name.at = start + strings.length;
    strings.push(...text(name.name));
  }
  const extension = padded(new Array<number>(start + strings.length).fill(0), 4).length;
  const records = entries.flatMap(({ soname, path, flags = X86_64, hwcap = 0n }) =>
    bytes(word(flags), word(start + at(soname)), word(start + at(path)), word(0), xword(hwcap)),
  );
  const header = bytes(
    ascii("glibc-ld.so.cache1.1"),
    word(entries.length),
    word(strings.length),
    [2, 0, 0, 0], // little-endian
    word(hwcaps ? before + extension : 0),
    word(0),
    ...[word(0), word(0)],
  );
  const body = padded([...header, ...records, ...strings], 4);
  if (!hwcaps) return Uint8Array.from([...header, ...records, ...strings]);
  // magic, one section: tag 1, flags, offset, size
  const list = before + extension + 8 + 16;
  const sections = bytes(word(0xeaa42174), word(1), word(1), word(0), word(list), word(4 * names.length));
  return Uint8Array.from([...body, ...sections, ...names.flatMap(({ at: name }) => word(name))]);
}

/** Both, as ldconfig's `compat` has them. */
export function bothCaches(entries: readonly Entry[], others: readonly Entry[], options: NewOptions = {}): Uint8Array {
  // The old entries' offsets count from behind them, and so reach over the new format to strings that it shares; here
  // each has its own.
  const records = entries.length * 12 + 16;
  const gap = padded(new Array<number>(records).fill(0), 8).length;
  const second = newCache(others, { ...options, before: options.before ?? gap });
  const { table, at } = stringTable(entries);
  const stringsAt = gap + second.length - records;
  const old = entries.flatMap(({ soname, path, flags = X86_64 }) => [
    ...word(flags),
    ...word(stringsAt + at(soname)),
    ...word(stringsAt + at(path)),
  ]);
  const first = padded([...ascii("ld.so-1.7.0"), 0, ...word(entries.length), ...old], 8);
  return Uint8Array.from([...first, ...second, ...table]);
}

/** Downwards by ldconfig's order: runs of digits are numbers, and stand behind anything else. */
export function sorted(entries: readonly Entry[]): Entry[] {
  const parts = (soname: string) => soname.match(/\d+|\D/g) ?? [];
  const compare = (one: string, other: string): number => {
    const [ours, theirs] = [parts(one), parts(other)];
    for (let i = 0; i < Math.max(ours.length, theirs.length); i++) {
      const [a = "\0", b = "\0"] = [ours[i], theirs[i]];
      const [isNumber, isOther] = [/^\d/.test(a), /^\d/.test(b)];
      if (isNumber !== isOther) return isNumber ? 1 : -1;
      const difference = isNumber ? Number(a) - Number(b) : a.charCodeAt(0) - b.charCodeAt(0);
      if (difference !== 0) return difference;
    }
    return 0;
  };
  return entries.toSorted((one, other) => compare(other.soname, one.soname));
}
