// The address space that a linker needs: a place to map files and to relocate them. Implementations decide which memory
// it is (a simulation's, our own, or that of a process that does not run yet); the passes are the same.

import type { FileBytes } from "../elf/file.ts";
import { type Address, add, type Offset } from "../memory/numbers.ts";

/** PROT_*, as mmap(2) takes them. */
export type Protection = number;
export const PROT_NONE: Protection = 0;

/** Memory that may be written to through its view. */
export interface Window {
  readonly start: Address;
  readonly view: DataView;
}

/** Addresses and lengths of mappings and protections are whole pages. */
export interface AddressSpace {
  /**
   * Reserves `length` bytes at a multiple of `alignment`, or at `at` if given; they cannot be read yet. Throws
   * LinkError if there is no room.
   */
  reserve(length: number, alignment: number, at?: Address): Address;
  /** Maps pages of a file privately, replacing what is there. After the end of the file, the last page is zero. */
  mapFile(at: Address, length: number, protection: Protection, file: FileBytes, offset: Offset): void;
  /** Maps pages of zeroes, replacing what is there. */
  mapZeroes(at: Address, length: number, protection: Protection): void;
  protect(at: Address, length: number, protection: Protection): void;
  /** The bytes as they are now; read-only. Throws LinkError if nothing is mapped. */
  read(at: Address, length: number): DataView;
  /**
   * Writable memory around an address, as much as is free to provide: a page or a whole segment. It stays valid until
   * something is mapped over it. Throws LinkError if nothing is mapped.
   */
  window(at: Address): Window;
}

/** Writes bytes to writable memory. Throws LinkError if nothing is mapped. */
export function writeTo(space: AddressSpace, at: Address, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length; ) {
    const from = add(at, done);
    const { start, view } = space.window(from);
    const count = Math.min(bytes.length - done, start + view.byteLength - from);
    new Uint8Array(view.buffer, view.byteOffset + from - start, count).set(bytes.subarray(done, done + count));
    done += count;
  }
}
