// An address space, as a linker needs one: a place to map files to and to relocate
// them in. Which memory that is (a simulation's, our own, a process's that does not
// run yet) is the business of who implements it; the passes are the same.

import type { FileBytes } from "../elf/file.ts";
import { type Address, add, type Offset } from "../memory/numbers.ts";

/** PROT_*, as mmap(2) takes them. */
export type Protection = number;
export const PROT_NONE: Protection = 0;

/** A piece of memory that may be written to through its view. */
export interface Window {
  readonly start: Address;
  readonly view: DataView;
}

/** Addresses and lengths of what is mapped or protected are whole pages. */
export interface AddressSpace {
  /**
   * Sets aside `length` bytes at a multiple of `alignment`, and at `at` where that is given; nothing can be read there
   * yet. Throws LinkError where there is no room.
   */
  reserve(length: number, alignment: number, at?: Address): Address;
  /** Maps pages of a file privately, in place of what is there. Behind the end of the file the last page has zeroes. */
  mapFile(at: Address, length: number, protection: Protection, file: FileBytes, offset: Offset): void;
  /** Maps pages of zeroes, in place of what is there. */
  mapZeroes(at: Address, length: number, protection: Protection): void;
  protect(at: Address, length: number, protection: Protection): void;
  /** The bytes as they are now; not to be written to. Throws LinkError where nothing is mapped. */
  read(at: Address, length: number): DataView;
  /**
   * Memory around an address that can be written to, as much of it as comes at no cost: a page or a whole segment. It
   * stays the memory's own for as long as nothing is mapped over it. Throws LinkError where nothing is mapped.
   */
  window(at: Address): Window;
}

/** Writes bytes to memory that can be written to. Throws LinkError where nothing is mapped. */
export function writeTo(space: AddressSpace, at: Address, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length; ) {
    const from = add(at, done);
    const { start, view } = space.window(from);
    const count = Math.min(bytes.length - done, start + view.byteLength - from);
    new Uint8Array(view.buffer, view.byteOffset + from - start, count).set(bytes.subarray(done, done + count));
    done += count;
  }
}
