// Binary structures, declared once: a layout lists fields in the specification's order and with its names; offsets
// follow from the order. Structures read and write lazily through a DataView, so one declaration serves a file, live
// memory and a buffer that is about to be written.

export interface Field<Value> {
  readonly size: number;
  read(view: DataView, at: number): Value;
  write(view: DataView, at: number, value: Value): void;
}

type Fields = Record<string, Field<unknown>>;
type ValueOf<F> = F extends Field<infer Value> ? Value : never;
type Values<F extends Fields> = { -readonly [Name in keyof F]: ValueOf<F[Name]> };

/** One structure somewhere in a view. Reading a property reads the bytes, setting it writes them. */
export type Struct<L> = L extends Layout<infer F> ? Values<F> : never;

export interface Layout<F extends Fields> {
  readonly name: string;
  /** In bytes. There is no implicit padding. */
  readonly size: number;
  /** The offset of a field in the structure, in bytes. */
  readonly offsetOf: Readonly<Record<keyof F, number>>;
  /** The structure at `offset` bytes into `view`. */
  at(view: DataView, offset?: number): Values<F>;
}

export const u8: Field<number> = {
  size: 1,
  read: (view, at) => view.getUint8(at),
  write: (view, at, value) => view.setUint8(at, value),
};
export const u16: Field<number> = {
  size: 2,
  read: (view, at) => view.getUint16(at, true),
  write: (view, at, value) => view.setUint16(at, value, true),
};
export const u32: Field<number> = {
  size: 4,
  read: (view, at) => view.getUint32(at, true),
  write: (view, at, value) => view.setUint32(at, value, true),
};
/** 64 raw bits: bloom words, relocated values, anything that is not a position. */
export const u64bits: Field<bigint> = {
  size: 8,
  read: (view, at) => view.getBigUint64(at, true),
  write: (view, at, value) => view.setBigUint64(at, BigInt.asUintN(64, value), true),
};

const HIGH_WORD = 2 ** 32;

/** Reads 64 bits as a number; a value that a number cannot hold reads as Infinity, which fails every bounds check. */
export function readU64(view: DataView, at: number): number {
  const high = view.getUint32(at + 4, true);
  return high < 0x200000 ? high * HIGH_WORD + view.getUint32(at, true) : Number.POSITIVE_INFINITY;
}

/**
 * Reads 64 bits as a number to add to an address modulo 2^64: negative if it points back. A value that a number cannot
 * hold reads as Infinity.
 */
export function readWrapping(view: DataView, at: number): number {
  const high = view.getInt32(at + 4, true);
  return high >= -0x200000 && high < 0x200000 ? high * HIGH_WORD + view.getUint32(at, true) : Number.POSITIVE_INFINITY;
}

/** Also writes a number from readWrapping. */
export function writeU64(view: DataView, at: number, value: number): void {
  view.setUint32(at, value % HIGH_WORD, true);
  view.setUint32(at + 4, Math.floor(value / HIGH_WORD), true);
}

/** A 64-bit field as a number, branded with the kind that the declaration names. */
export function u64<Kind extends number = number>(): Field<Kind> {
  return { size: 8, read: (view, at) => readU64(view, at) as Kind, write: writeU64 };
}

/** A 64-bit field, read by readWrapping. */
export function wrapping<Kind extends number = number>(): Field<Kind> {
  return { size: 8, read: (view, at) => readWrapping(view, at) as Kind, write: writeU64 };
}

/** A signed 64-bit field as a number (d_tag, r_addend); rounded beyond 53 bits. */
export const i64: Field<number> = {
  size: 8,
  read: (view, at) => view.getInt32(at + 4, true) * HIGH_WORD + view.getUint32(at, true),
  write: (view, at, value) => view.setBigInt64(at, BigInt(value), true),
};

/** `size` raw bytes. */
export function bytes(size: number): Field<Uint8Array> {
  return {
    size,
    read: (view, at) => new Uint8Array(view.buffer, view.byteOffset + at, size),
    write: (view, at, value) => new Uint8Array(view.buffer, view.byteOffset + at, size).set(value),
  };
}

export function layout<F extends Fields>(name: string, fields: F): Layout<F> {
  class Accessor {
    constructor(
      readonly view: DataView,
      readonly start: number,
    ) {}
  }
  const offsetOf: Record<string, number> = {};
  let size = 0;
  for (const [field, { size: width, read, write }] of Object.entries(fields)) {
    const offset = size;
    offsetOf[field] = offset;
    size += width;
    Object.defineProperty(Accessor.prototype, field, {
      enumerable: true,
      get(this: Accessor) {
        return read(this.view, this.start + offset);
      },
      set(this: Accessor, value: unknown) {
        write(this.view, this.start + offset, value);
      },
    });
  }
  return {
    name,
    size,
    offsetOf: offsetOf as Record<keyof F, number>,
    at: (view, offset = 0) => new Accessor(view, offset) as unknown as Values<F>,
  };
}
