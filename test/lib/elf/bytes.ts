// Bytes of hand-written ELF structures, in the words of the gABI, and images
// put together from named parts whose addresses the parts themselves can use.

import { ElfError } from "../../../lib/elf/error.ts";

/** Elf64_Half: 16 bits. */
export const half = (value: number): number[] => [value & 0xff, (value >>> 8) & 0xff];
/** Elf64_Word: 32 bits. */
export const word = (value: number): number[] => [...half(value), ...half(value >>> 16)];
/** Elf64_Xword, Elf64_Addr, Elf64_Off: 64 bits, in two's complement where they are negative. */
export const xword = (value: number | bigint): number[] => {
  const bits = BigInt.asUintN(64, BigInt(value));
  return [...word(Number(bits & 0xffffffffn)), ...word(Number(bits >> 32n))];
};
/** NUL-terminated. */
export const text = (value: string): number[] => [...new TextEncoder().encode(value), 0];

export const viewOf = (...bytes: number[][]): DataView => new DataView(new Uint8Array(bytes.flat()).buffer);

/** A part of an image: what it is called, and its bytes once the others' offsets are known. */
export type Part = readonly [name: string, bytes: (at: (name: string) => number) => number[][]];

/**
 * The parts one after the other, each aligned to 8 bytes, and where each begins. Their sizes must not depend on
 * offsets.
 */
export function assemble(parts: readonly Part[]): { bytes: Uint8Array<ArrayBuffer>; at: (name: string) => number } {
  const offsets = new Map<string, number>();
  let size = 0;
  for (const [name, bytes] of parts) {
    size = Math.ceil(size / 8) * 8;
    offsets.set(name, size);
    size += bytes(() => 0).flat().length;
  }
  const at = (name: string): number => {
    const offset = offsets.get(name);
    if (offset === undefined) throw new Error(`No part is called "${name}"`);
    return offset;
  };
  const image = new Uint8Array(size);
  for (const [name, bytes] of parts) image.set(bytes(at).flat(), at(name));
  return { bytes: image, at };
}

/** The ElfError that an action throws; anything else that it throws passes through. */
export function faultOf(action: () => unknown): ElfError {
  try {
    action();
  } catch (error) {
    if (error instanceof ElfError) return error;
    throw error;
  }
  throw new Error("An ElfError was expected, and nothing was thrown");
}
