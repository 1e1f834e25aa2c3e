// Live memory of this process, through bun:ffi; the only file that uses `read` and `toArrayBuffer`. Reading an unmapped
// address kills the process and cannot be caught, so every caller bounds its reads by what the loader has mapped.

import { CString, type Pointer, ptr, read, toArrayBuffer } from "bun:ffi";
import { type Address, toAddress } from "./numbers.ts";

/** An address in this process, as bun:ffi's type. */
export const pointer = (address: Address): Pointer => address as number as Pointer;

/** The address of a buffer's bytes. The caller keeps the buffer alive for as long as the address is used. */
export const addressOf = (buffer: NodeJS.TypedArray | DataView): Address => toAddress(ptr(buffer));

/** Memory as a view, not a copy. An empty range gives an empty view. */
export function viewAt(address: Address, length: number): DataView {
  // toArrayBuffer takes a missing or zero length to mean "up to the next NUL"
  return length > 0 ? new DataView(toArrayBuffer(pointer(address), 0, length)) : new DataView(new ArrayBuffer(0));
}

/** The memory of a process, for reading. */
export interface Memory {
  /** Bytes that are mapped there: live for our own memory, a copy, which is only to be read, for another process's. */
  view(address: Address, length: number): DataView;
  /** Views are copies. */
  readonly isCopied?: true;
}
export const ownMemory: Memory = { view: viewAt };

export function bytesAt(address: Address, length: number): Uint8Array {
  return length > 0 ? new Uint8Array(toArrayBuffer(pointer(address), 0, length)) : new Uint8Array(0);
}

/**
 * The pointer stored at an address. User addresses fit in a number; a value that does not is no address and reads as
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

/** The C string at an address, as UTF-8. */
export const stringAt = (address: Address): string => new CString(pointer(address)).toString();

/** The bytes of the C string at an address, without its NUL. */
export function stringBytesAt(address: Address): Uint8Array {
  let length = 0;
  while (read.u8(pointer(address), length) !== 0) length++;
  return bytesAt(address, length).slice();
}

/** A NUL-terminated copy of a string, for a C function that reads it before this buffer is freed. */
export const cString = (text: string): Uint8Array => Buffer.from(`${text}\0`);
