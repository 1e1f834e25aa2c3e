// Damage to files, mostly where it decides something. A seed and an index determine it, so any file can be made again.

import * as elf from "../../lib/elf/constants.ts";
import { Dyn } from "../../lib/elf/dyn.ts";
import { Ehdr } from "../../lib/elf/ehdr.ts";
import { openImage } from "../../lib/elf/file.ts";
import type { Image } from "../../lib/elf/image.ts";
import { Phdr } from "../../lib/elf/phdr.ts";
import { Rela } from "../../lib/elf/rela.ts";
import { Sym } from "../../lib/elf/sym.ts";
import type { Layout } from "../../lib/memory/layout.ts";
import { randomOf } from "./random.ts";

/** Integers from 0 up to `below`. */
export type Random = (below: number) => number;

export function random(seed: number): Random {
  const next = randomOf(seed);
  return (below) => Math.floor(next() * below);
}

/** The random numbers of one file of many. */
export const randomAt = (seed: number, index: number): Random => random(Bun.hash.xxHash32(`${seed} ${index}`));

export type Range = readonly [start: number, end: number];

/** The values at which a check goes one way or the other. */
const VALUES = [
  ...[0n, 1n, 2n, 7n, 8n, 16n, 24n, 0xffn, 0x1000n, 0x7fffn, 0x8000n, 0xffffn],
  ...[0x7fffffffn, 0x80000000n, 0xffffffffn, 0x100000000n, 1n << 40n, (1n << 47n) - 1n, 1n << 47n],
  ...[(1n << 53n) - 1n, 1n << 53n, (1n << 63n) - 1n, 1n << 63n, (1n << 64n) - 1n],
];

export const oneOf = <T>(next: Random, values: readonly T[]): T => values[next(values.length)] as T;

/** Bytes, bits, words and parts of the ranges. */
export function mutate(bytes: Uint8Array<ArrayBuffer>, ranges: readonly Range[], next: Random): void {
  for (let count = 1 + next(4); count > 0; count--) scribble(bytes, oneOf(next, ranges), next);
}

function scribble(bytes: Uint8Array<ArrayBuffer>, [start, end]: Range, next: Random): void {
  const view = new DataView(bytes.buffer);
  const at = start + next(end - start);
  const value = oneOf(next, VALUES);
  const word = at - (at % 8);
  if (at >= bytes.length) return;
  switch (next(5)) {
    case 0:
      view.setUint8(at, next(256));
      break;
    case 1:
      view.setUint8(at, view.getUint8(at) ^ (1 << next(8)));
      break;
    case 2:
      if (at - (at % 4) + 4 <= bytes.length) view.setUint32(at - (at % 4), Number(value & 0xffffffffn), true);
      break;
    case 3:
      if (word + 8 <= bytes.length) view.setBigUint64(word, value, true);
      break;
    default:
      // another part of the image, in place of this one: pointers into the wrong table
      bytes.copyWithin(word, start + next(end - start), Math.min(word + 16, bytes.length));
  }
}

/** Headers (twice as often), the dynamic section and the tables in front of the code. */
export function rangesOf(path: string): Range[] {
  using image = openImage(path);
  const headers: Range = [0, image.ehdr.e_phoff + Phdr.size * image.phdrs.length];
  const dynamic = image.segment(elf.PT_DYNAMIC);
  const [first] = image.loads;
  if (!dynamic || !first) throw new Error(`"${path}" has no segments`);
  return [headers, headers, [dynamic.p_offset, dynamic.p_offset + dynamic.p_filesz], [headers[1], first.p_filesz]];
}

/** Largest text that damage makes, in bytes. */
const LARGEST_TEXT = 1 << 17;

/** Text with parts left out, repeated or replaced, and with some of these words in it. */
export function damagedText(text: Uint8Array, words: readonly string[], next: Random): Uint8Array<ArrayBuffer> {
  let bytes = Buffer.from(text);
  for (let count = 1 + next(4); count > 0; count--) {
    const [from, to] = [next(bytes.length + 1), next(bytes.length + 1)].sort((one, other) => one - other);
    const [before, part, behind] = [bytes.subarray(0, from), bytes.subarray(from, to), bytes.subarray(to)];
    const times = 1 + (next(8) === 0 ? next(5000) : next(3));
    switch (next(4)) {
      case 0:
        bytes = Buffer.concat([before, behind]);
        break;
      case 1:
        bytes = Buffer.concat([before, ...new Array<Buffer>(times).fill(part), behind]);
        break;
      case 2:
        bytes = Buffer.concat([before, Buffer.from(oneOf(next, words).repeat(times)), part, behind]);
        break;
      default:
        if (from !== undefined && from < bytes.length) bytes[from] = next(256);
    }
    bytes = bytes.subarray(0, LARGEST_TEXT);
  }
  return new Uint8Array(bytes);
}

/** A table of records in a file. */
interface Records {
  readonly start: number;
  readonly count: number;
  readonly size: number;
  /** The offsets in a record at which a field begins, with the field's size. */
  readonly fields: readonly (readonly [at: number, size: number])[];
  /** Values that a field may have, by its offset: others than VALUES. */
  readonly values?: Readonly<Record<number, readonly number[]>>;
}

/** Where a sound file has what. */
export interface Anatomy {
  readonly records: readonly Records[];
  readonly ranges: readonly Range[];
  /** Executable segments, which stay as they are: it is not code that is put to the test. */
  readonly code: readonly Range[];
}

const TAGS = [
  ...Array.from({ length: 38 }, (_, tag) => tag),
  ...[elf.DT_GNU_HASH, elf.DT_VERSYM, elf.DT_RELACOUNT, elf.DT_FLAGS_1, elf.DT_VERDEF, elf.DT_VERDEFNUM],
  ...[elf.DT_VERNEED, elf.DT_VERNEEDNUM, elf.DT_AUXILIARY, elf.DT_FILTER, elf.DT_AUDIT],
];
const SEGMENTS = [0, 1, 2, 3, 4, 6, 7, 0x6474e550, elf.PT_GNU_STACK, elf.PT_GNU_RELRO, 0x6474e553];
const RELOCATIONS = Array.from({ length: 43 }, (_, type) => type);
/** st_info: a binding and a type. */
const INFOS = [0, 1, 2, 10].flatMap((binding) => [0, 1, 2, 3, 5, 6, 10].map((type) => binding * 16 + type));

export function anatomyOf(path: string): Anatomy {
  using image = openImage(path);
  const dynamic = image.phdrs.findLast(({ p_type }) => p_type === elf.PT_DYNAMIC);
  const [first] = image.loads;
  if (!dynamic || !first) throw new Error(`"${path}" has no segments`);
  const records: Records[] = [
    table(Ehdr, 0, 1),
    table(Phdr, image.ehdr.e_phoff, image.phdrs.length, { 0: SEGMENTS, 4: [0, 1, 2, 3, 4, 5, 6, 7] }),
    table(Dyn, dynamic.p_offset, image.dynamic.entries.length + 1, { 0: TAGS }),
  ];
  const add = (tag: number, structure: Layout<never>, size: number, values?: Records["values"]): void => {
    const start = offsetOf(image, image.dynamic.get(tag));
    if (start !== undefined && size >= structure.size)
      records.push(table(structure, start, Math.floor(size / structure.size), values));
  };
  const words = (tag: number, size: number, width: number) => {
    const start = offsetOf(image, image.dynamic.get(tag));
    if (start !== undefined && size >= width)
      records.push({ start, count: Math.floor(size / width), size: width, fields: [[0, width]] });
  };
  const get = (tag: number) => image.dynamic.get(tag) ?? 0;
  const count = image.symbols.length;
  const indexes = Array.from({ length: count }, (_, symbol) => symbol);
  add(elf.DT_SYMTAB, Sym as never, count * Sym.size, { 4: INFOS, 6: [0, 1, elf.SHN_ABS, 5, 12] });
  const kinds = { [Rela.offsetOf.r_type]: RELOCATIONS, [Rela.offsetOf.r_sym]: indexes };
  add(elf.DT_RELA, Rela as never, get(elf.DT_RELASZ), kinds);
  add(elf.DT_JMPREL, Rela as never, get(elf.DT_PLTRELSZ), kinds);
  words(elf.DT_RELR, get(elf.DT_RELRSZ), 8);
  words(elf.DT_VERSYM, 2 * count, 2);
  words(elf.DT_INIT_ARRAY, get(elf.DT_INIT_ARRAYSZ), 8);
  words(elf.DT_FINI_ARRAY, get(elf.DT_FINI_ARRAYSZ), 8);
  // Records of versions are made of halves and words; the same bytes count as either.
  for (const [tag, size] of [
    [elf.DT_VERDEF, 28 * image.verdefs.length],
    [elf.DT_VERNEED, 16 * image.verneeds.length + 16],
  ] as const) {
    words(tag, size, 4);
    words(tag, size, 2);
  }
  words(elf.DT_GNU_HASH, image.gnuHash?.size ?? 0, 4);
  words(elf.DT_HASH, image.sysvHash?.size ?? 0, 4);
  for (const { p_type, p_offset, p_filesz } of image.phdrs)
    if (p_type === elf.PT_NOTE) records.push({ start: p_offset, count: p_filesz >> 2, size: 4, fields: [[0, 4]] });
  const strings = offsetOf(image, get(elf.DT_STRTAB)) ?? 0;
  return {
    records,
    ranges: [
      [0, image.file.size],
      [0, first.p_filesz],
      [strings, strings + image.strings.size],
    ],
    code: image.loads
      .filter(({ p_flags }) => (p_flags & elf.PF_X) !== 0)
      .map(({ p_offset, p_filesz }) => [p_offset, p_offset + p_filesz]),
  };
}

function table(
  structure: { size: number; offsetOf: object },
  start: number,
  count: number,
  values?: Records["values"],
) {
  const offsets = Object.values(structure.offsetOf) as number[];
  const fields = offsets.map((at, i) => [at, (offsets[i + 1] ?? structure.size) - at] as const);
  return { start, count, size: structure.size, fields, ...(values && { values }) };
}

function offsetOf({ loads }: Image, vaddr: number | undefined): number | undefined {
  const load = loads.find(
    ({ p_vaddr, p_filesz }) => vaddr !== undefined && vaddr >= p_vaddr && vaddr < p_vaddr + p_filesz,
  );
  return load && vaddr !== undefined ? vaddr - load.p_vaddr + load.p_offset : undefined;
}

/** A damaged copy: mostly one field of one record. */
export function damaged(
  sound: Uint8Array<ArrayBuffer>,
  { records, ranges, code }: Anatomy,
  next: Random,
): Uint8Array<ArrayBuffer> {
  const bytes = sound.slice();
  for (let count = next(2) === 0 ? 1 : 1 + next(4); count > 0; count--) {
    if (next(10) === 0) scribble(bytes, oneOf(next, ranges), next);
    else damageRecord(bytes, oneOf(next, records), next);
  }
  for (const [start, end] of code) bytes.set(sound.subarray(start, end), start);
  if (next(60) !== 0) return bytes;
  // A file that has been cut off, somewhere or near its end.
  const length = next(2) === 0 ? next(bytes.length) : bytes.length - next(8192);
  return bytes.slice(0, Math.max(0, length));
}

function damageRecord(bytes: Uint8Array<ArrayBuffer>, table: Records, next: Random): void {
  const { start, count, size, fields, values } = table;
  const record = start + size * next(count);
  const other = start + size * next(count);
  if (Math.max(record, other) + size > bytes.length) return;
  const kind = next(12);
  if (kind === 0) {
    bytes.copyWithin(record, other, other + size);
    return;
  }
  if (kind === 1) {
    const before = bytes.slice(record, record + size);
    bytes.copyWithin(record, other, other + size);
    bytes.set(before, other);
    return;
  }
  const [at, width] = oneOf(next, fields);
  const field = record + at;
  const known = values?.[at];
  if (known && next(4) !== 0) put(bytes, field, width, BigInt(oneOf(next, known)));
  else if (kind < 5) put(bytes, field, width, read(bytes, field, width) + BigInt(oneOf(next, NEAR)));
  else if (kind < 7) bytes.copyWithin(field, other + at, other + at + width);
  else if (kind === 7) put(bytes, field, width, read(bytes, field, width) ^ (1n << BigInt(next(8 * width))));
  else if (kind === 8) put(bytes, field, width, BigInt(next(bytes.length + 0x3000)));
  else put(bytes, field, width, oneOf(next, VALUES));
}

const NEAR = [-0x1000, 0x1000, -24, 24, -16, 16, -8, 8, -4, 4, -2, 2, -1, 1];

const read = (bytes: Uint8Array, at: number, width: number): bigint =>
  bytes.subarray(at, at + width).reduceRight((value, byte) => value * 256n + BigInt(byte), 0n);

function put(bytes: Uint8Array, at: number, width: number, value: bigint): void {
  let rest = BigInt.asUintN(8 * width, value);
  for (let i = 0; i < width; i++, rest >>= 8n) bytes[at + i] = Number(rest & 0xffn);
}
