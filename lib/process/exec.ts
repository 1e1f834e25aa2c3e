// Another program in the place of this one.

import { FFIType, dlopen as ffi } from "bun:ffi";
import { addressOf, cString, u32At } from "../memory/live.ts";
import { toAddress } from "../memory/numbers.ts";

const { ptr, i32, i64 } = FFIType;

/** Of libc, as bun:ffi wants them described. */
export const EXEC_FUNCTIONS = {
  execve: { args: [ptr, ptr, ptr], returns: i32 },
  fcntl: { args: [i32, i32, i64], returns: i32 },
  unshare: { args: [i32], returns: i32 },
  __errno_location: { args: [], returns: ptr },
} as const;

type Functions = ReturnType<typeof ffi<typeof EXEC_FUNCTIONS>>["symbols"];

export class Exec {
  constructor(readonly functions: Functions = ffi("libc.so.6", EXEC_FUNCTIONS).symbols) {}

  /** Has a descriptor stay open in the other program. */
  passOn(descriptor: number): void {
    const F_SETFD = 2;
    this.functions.fcntl(descriptor, F_SETFD, 0);
  }

  /** Is it open, and not in the other program? */
  isClosed(descriptor: number): boolean {
    const [F_GETFD, FD_CLOEXEC] = [1, 1];
    return this.functions.fcntl(descriptor, F_GETFD, 0) === FD_CLOEXEC;
  }

  /** Runs it in this process. Returns, with errno, only where the kernel refuses. */
  execute(path: string, list: readonly Uint8Array[], environment: readonly Uint8Array[]): number {
    const strings = [...list, ...environment].map((bytes) => Buffer.concat([bytes, Uint8Array.of(0)]));
    const addresses = strings.map((bytes) => BigInt(addressOf(bytes)));
    const argv = BigUint64Array.of(...addresses.slice(0, list.length), 0n);
    const envp = BigUint64Array.of(...addresses.slice(list.length), 0n);
    // While a process execs, no thread can be made that shares directory and umask with the one that does (EAGAIN):
    // threads of Bun's that try have aborted the process. So this one shares them no more.
    const CLONE_FS = 0x200;
    this.functions.unshare(CLONE_FS);
    this.functions.execve(cString(path), argv, envp);
    return u32At(toAddress(Number(this.functions.__errno_location())));
  }
}
