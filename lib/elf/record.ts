// A structure's fields as plain data with every bit kept, for displaying a file as it is. Other readers turn a value
// that no number can hold into Infinity, which fails all their checks; here such a value becomes its digits.

import { type Layout, readU64 } from "../memory/layout.ts";
import { hex } from "../memory/numbers.ts";

/** A number; beyond 2^53 its hexadecimal digits with a leading 0x. */
export type Quantity = number | string;

/** The names of a layout's fields. */
type FieldOf<L> = L extends Layout<infer F> ? keyof F & string : never;

type Plain<L> = { readonly [name in FieldOf<L>]: Quantity };

/** The structure at `offset` bytes into `view`. Fields that are not numbers (e_ident) are left out. */
export function recordAt<L extends { readonly size: number; readonly offsetOf: Readonly<Record<string, number>> }>(
  layout: L,
  view: DataView,
  offset = 0,
): Plain<L> {
  const starts = Object.entries(layout.offsetOf);
  const record: Record<string, Quantity> = {};
  for (const [i, [name, start]] of starts.entries()) {
    const size = (starts[i + 1]?.[1] ?? layout.size) - start;
    const read = READERS[size];
    if (read) record[name] = read(view, offset + start);
  }
  return record as Plain<L>;
}

const READERS: Readonly<Record<number, (view: DataView, at: number) => Quantity>> = {
  1: (view, at) => view.getUint8(at),
  2: (view, at) => view.getUint16(at, true),
  4: (view, at) => view.getUint32(at, true),
  8: quantityAt,
};

/** 64 bits, unsigned. */
export function quantityAt(view: DataView, at: number): Quantity {
  const value = readU64(view, at);
  return Number.isFinite(value) ? value : hex(view.getBigUint64(at, true));
}

/** 64 bits, signed: a number, or its digits ("-0x…") if a number cannot hold it. */
export function signedAt(view: DataView, at: number): Quantity {
  const high = view.getInt32(at + 4, true);
  if (high >= -0x200000 && high < 0x200000) return high * 2 ** 32 + view.getUint32(at, true);
  const value = view.getBigInt64(at, true);
  return value < 0n ? `-${hex(-value)}` : hex(value);
}
