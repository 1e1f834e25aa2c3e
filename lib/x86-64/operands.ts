// Instruction operands: registers, places in memory, and plain numbers, which are immediates.

/** Bits of the registers that most instructions take. */
export type Size = 8 | 16 | 32 | 64;

export interface Register<Bits extends number = Size> {
  readonly name: string;
  /** Its number; for spl, bpl, sil and dil also 0x40: without a REX prefix their numbers mean ah to bh. */
  readonly code: number;
  readonly size: Bits;
}

export type Pointer = Register<64>;
export type Xmm = Register<128>;
export type Scale = 1 | 2 | 4 | 8;

export interface Memory {
  readonly base: Pointer | undefined;
  readonly displacement: number;
  readonly index: Pointer | undefined;
  readonly scale: Scale;
  /** Replaces all of these. */
  readonly label: string | undefined;
  readonly isThreadLocal: boolean;
  /** The instruction gives the size. */
  readonly size?: undefined;
}

/** What is read or written. */
export type Place = Register | Memory;

export const register = <Bits extends number>(name: string, code: number, size: Bits): Register<Bits> => ({
  name,
  code,
  size,
});

type Registers<Bits extends number, Names extends string> = Names extends `${string} ${infer Rest}`
  ? [Register<Bits>, ...Registers<Bits, Rest>]
  : [Register<Bits>];

/** Registers by their names, with the codes from `first` on. */
export const registers = <Bits extends number, Names extends string>(size: Bits, first: number, names: Names) =>
  names.split(" ").map((name, i) => register(name, first + i, size)) as Registers<Bits, Names>;

/** `displacement(base,index,scale)`. Throws if the processor has no such address. */
export function mem(base: Pointer | undefined, displacement = 0, index?: Pointer, scale: Scale = 1): Memory {
  const place = { base, displacement, index, scale, label: undefined, isThreadLocal: false };
  if (index?.name === "rsp") refuse(place, "rsp is no index");
  if (!base && !index) refuse(place, "it has neither base nor index");
  if (displacement !== (displacement | 0)) refuse(place, "its displacement has more than 32 bits");
  return place;
}

function refuse(place: Memory, why: string): never {
  throw new Error(`Cannot assemble "${textOfPlace(place)}": ${why}`);
}

/** `label(%rip)`: the memory at a label. */
export const rip = (label: string): Memory => place(0, label, false);

/** `%fs:displacement`: the memory at that distance from the thread pointer. */
export const fs = (displacement: number): Memory => place(displacement, undefined, true);

function place(displacement: number, label: string | undefined, isThreadLocal: boolean): Memory {
  return { base: undefined, displacement, index: undefined, scale: 1, label, isThreadLocal };
}

/** The address of a place, for a system call. */
export interface PlaceAddress {
  readonly place: Memory;
  readonly size?: undefined;
}

export const address = (place: Memory): PlaceAddress => ({ place });

/** As objdump prints it. */
export function textOfPlace({ base, displacement, index, scale, label, isThreadLocal }: Memory): string {
  if (label !== undefined) return `${label}(%rip)`;
  if (isThreadLocal) return `%fs:0x${BigInt.asUintN(64, BigInt(displacement)).toString(16)}`;
  // rbp and r13 always have a displacement, of 8 bits if it is 0.
  const isShown = displacement !== 0 || base === undefined || (base.code & 7) === 5;
  const distance = isShown ? `${displacement < 0 ? "-" : ""}0x${Math.abs(displacement).toString(16)}` : "";
  return `${distance}(${base ? `%${base.name}` : ""}${index ? `,%${index.name},${scale}` : ""})`;
}

/** A character as a number. */
export const char = (character: string): number => character.charCodeAt(0);
