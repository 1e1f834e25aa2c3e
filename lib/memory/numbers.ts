// The three kinds of number that a linker must not mix up, and the few conversions between them. All are plain
// JavaScript numbers: x86-64 user addresses fit in 47 bits, so nothing is lost, and only true 64-bit patterns are
// bigints. Never use a bitwise operator on one: `0x7f0000001234 & ~0xfff` is 4096.

declare const kind: unique symbol;

/** A position in a file, in bytes. */
export type Offset = number & { readonly [kind]: "offset" };
/** A position in an image as it was linked, before loading, in bytes. */
export type Vaddr = number & { readonly [kind]: "vaddr" };
/** A position in the memory of a process, in bytes. */
export type Address = number & { readonly [kind]: "address" };

export const toOffset = (value: number): Offset => value as Offset;
export const toVaddr = (value: number): Vaddr => value as Vaddr;
export const toAddress = (value: number): Address => value as Address;

/** The sum is of the same kind as `position`. */
export function add<Kind extends number>(position: Kind, distance: number): Kind {
  return (position + distance) as Kind;
}

export function alignDown<Kind extends number>(position: Kind, alignment: number): Kind {
  return (position - (position % alignment)) as Kind;
}

export function alignUp<Kind extends number>(position: Kind, alignment: number): Kind {
  const over = position % alignment;
  return (over === 0 ? position : position + alignment - over) as Kind;
}

/** `0x7f…`, as in messages. */
export const hex = (value: number | bigint): string => `0x${value.toString(16)}`;

/** The x86-64 page size. A larger p_align is always a multiple of it. */
export const PAGE_SIZE = 4096;

/** False for a value that a number cannot hold exactly. */
export const isPowerOfTwo = (value: number): boolean =>
  Number.isSafeInteger(value) && Number.isInteger(Math.log2(value));
