// The libc functions that are called, described for bun:ffi. dlopen and its family are in libc.so.6 since glibc 2.34,
// in libdl.so.2 before.

import { FFIType, dlopen as ffi } from "bun:ffi";
import { stringAt } from "../memory/live.ts";
import { type Address, toAddress } from "../memory/numbers.ts";
import { EXEC_FUNCTIONS } from "./exec.ts";

const { ptr, i32, u64, i64 } = FFIType;

/** bun:ffi returns a pointer as a number, or as a bigint beyond 53 bits, which no user address reaches. */
export const address = (value: number | bigint | null): Address => toAddress(Number(value ?? 0));

export function bind() {
  const libc = ffi("libc.so.6", {
    gnu_get_libc_version: { args: [], returns: ptr },
    malloc: { args: [u64], returns: ptr },
    mprotect: { args: [ptr, u64, i32], returns: i32 },
    setenv: { args: [ptr, ptr, i32], returns: i32 },
    unsetenv: { args: [ptr], returns: i32 },
    sigaction: { args: [i32, ptr, ptr], returns: i32 },
    getauxval: { args: [u64], returns: u64 },
    close: { args: [i32], returns: i32 },
    dup2: { args: [i32, i32], returns: i32 },
    kill: { args: [i32, i32], returns: i32 },
    prlimit: { args: [i32, i32, ptr, ptr], returns: i32 },
    gettid: { args: [], returns: i32 },
    isatty: { args: [i32], returns: i32 },
    sigaltstack: { args: [ptr, ptr], returns: i32 },
    setvbuf: { args: [ptr, ptr, i32, u64], returns: i32 },
    sbrk: { args: [i64], returns: ptr },
    prctl: { args: [i32, ptr, u64, u64, u64], returns: i32 },
    __cxa_atexit: { args: [ptr, ptr, ptr], returns: i32 },
    mmap: { args: [ptr, u64, i32, i32, i32, i64], returns: ptr },
    // futex(2) has no wrapper
    syscall: { args: [i64, ptr, u64, u64, ptr, ptr, u64], returns: i64 },
    process_vm_readv: { args: [i32, ptr, u64, ptr, u64, u64], returns: i64 },
    process_vm_writev: { args: [i32, ptr, u64, ptr, u64, u64], returns: i64 },
    _exit: { args: [i32], returns: FFIType.void },
    ...EXEC_FUNCTIONS,
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
