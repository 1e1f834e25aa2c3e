// Live memory of this process, through bun:ffi: the only file that touches
// `read` and `toArrayBuffer`. Reading an address that is not mapped kills the
// process (there is nothing to catch), so every caller bounds what it reads by
// what the loader has mapped.

import { CString, type Pointer, ptr, read, toArrayBuffer } from "bun:ffi";
import { type Address, toAddress } from "./numbers.ts";

/** bun:ffi's own kind of number: an address in this process. */
export const pointer = (address: Address): Pointer => address as number as Pointer;

/** The address of a buffer's bytes. The caller keeps the buffer alive for as long as the address is used. */
export const addressOf = (buffer: NodeJS.TypedArray | DataView): Address => toAddress(ptr(buffer));

/** Memory as a view, nothing copied. An empty range gives an empty view of nothing. */
export function viewAt(address: Address, length: number): DataView {
  // toArrayBuffer takes a missing or zero length for "up to the next NUL"
  return length > 0 ? new DataView(toArrayBuffer(pointer(address), 0, length)) : new DataView(new ArrayBuffer(0));
}

/** The memory of a process, for whatever only reads it. */
export interface Memory {
  /** Bytes that are mapped there: live where it is our own memory, a copy where it is another process's. */
  view(address: Address, length: number): DataView;
  /** Views are copies. */
  readonly isCopied?: true;
}
export const ownMemory: Memory = { view: viewAt };

export function bytesAt(address: Address, length: number): Uint8Array {
  return length > 0 ? new Uint8Array(toArrayBuffer(pointer(address), 0, length)) : new Uint8Array(0);
}

/**
 * The pointer stored at an address. User addresses fit a number; a pattern that does not is no address and reads as
 * NaN.
 */
export function pointerAt(address: Address): Address {
  const bits = read.u64(pointer(address), 0);
  return toAddress(bits <= Number.MAX_SAFE_INTEGER ? Number(bits) : Number.NaN);
}

/** Writes 64 bits to memory that is ours to write. */
export function setPointerAt(address: Address, value: number): void {
  viewAt(address, 8).setBigUint64(0, BigInt(value), true);
}

export const u32At = (address: Address): number => read.u32(pointer(address), 0);
export const i64At = (address: Address): number => Number(read.i64(pointer(address), 0));

/** The C string at an address, as UTF-8. */
export const stringAt = (address: Address): string => new CString(pointer(address)).toString();

/** The bytes of the C string at an address, without its NUL. */
export function stringBytesAt(address: Address): Uint8Array {
  let length = 0;
  while (read.u8(pointer(address), length) !== 0) length++;
  return bytesAt(address, length).slice();
}

/** A NUL-terminated copy of a string, for a C function that reads it before this buffer goes. */
export const cString = (text: string): Uint8Array => Buffer.from(`${text}\0`);
