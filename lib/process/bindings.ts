// The libc functions that are called, described for bun:ffi: what is no system call, and what passes call by name.
// dlopen and its family are in libc.so.6 since glibc 2.34, in libdl.so.2 before.

import { FFIType, dlopen as ffi } from "bun:ffi";
import { stringAt } from "../memory/live.ts";
import { type Address, toAddress } from "../memory/numbers.ts";

const { ptr, i32, u64, i64 } = FFIType;

/** bun:ffi returns a pointer as a number, or as a bigint beyond 53 bits, which no user address reaches. */
export const address = (value: number | bigint | null): Address => toAddress(Number(value ?? 0));

export type LoaderFunctions = ReturnType<typeof bind>["loader"];

export function bind() {
  const libc = ffi("libc.so.6", {
    gnu_get_libc_version: { args: [], returns: ptr },
    malloc: { args: [u64], returns: ptr },
    mprotect: { args: [ptr, u64, i32], returns: i32 },
    setenv: { args: [ptr, ptr, i32], returns: i32 },
    unsetenv: { args: [ptr], returns: i32 },
    sigaction: { args: [i32, ptr, ptr], returns: i32 },
    getauxval: { args: [u64], returns: u64 },
    setvbuf: { args: [ptr, ptr, i32, u64], returns: i32 },
    __cxa_atexit: { args: [ptr, ptr, ptr], returns: i32 },
  }).symbols;
  const version = stringAt(address(libc.gnu_get_libc_version()));
  const loader = ffi(Number(version.split(".")[1]) < 34 ? "libdl.so.2" : "libc.so.6", {
    dlopen: { args: [ptr, i32], returns: ptr },
    dlmopen: { args: [i64, ptr, i32], returns: ptr },
    dlclose: { args: [ptr], returns: i32 },
    dlinfo: { args: [ptr, i32, ptr], returns: i32 },
    dlerror: { args: [], returns: ptr },
    dladdr: { args: [ptr, ptr], returns: i32 },
    dlsym: { args: [ptr, ptr], returns: ptr },
    dlvsym: { args: [ptr, ptr, ptr], returns: ptr },
  }).symbols;
  return { libc, loader, version };
}
