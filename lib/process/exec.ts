// Replaces this process's program by another.

import { FFIType, dlopen as ffi } from "bun:ffi";
import { addressOf, cString, u32At } from "../memory/live.ts";
import { toAddress } from "../memory/numbers.ts";

const { ptr, i32, i64 } = FFIType;

/** libc functions, described for bun:ffi. */
export const EXEC_FUNCTIONS = {
  execve: { args: [ptr, ptr, ptr], returns: i32 },
  fcntl: { args: [i32, i32, i64], returns: i32 },
  unshare: { args: [i32], returns: i32 },
  __errno_location: { args: [], returns: ptr },
} as const;

type Functions = ReturnType<typeof ffi<typeof EXEC_FUNCTIONS>>["symbols"];

export class Exec {
  constructor(readonly functions: Functions = ffi("libc.so.6", EXEC_FUNCTIONS).symbols) {}

  /** Keeps a descriptor open across exec. */
  passOn(descriptor: number): void {
    const F_SETFD = 2;
    this.functions.fcntl(descriptor, F_SETFD, 0);
  }

  /** Is it open, but closed on exec? */
  isClosed(descriptor: number): boolean {
    const [F_GETFD, FD_CLOEXEC] = [1, 1];
    return this.functions.fcntl(descriptor, F_GETFD, 0) === FD_CLOEXEC;
  }

  /** Executes a program in this process. Returns, with errno, only if the kernel refuses. */
  execute(path: string, list: readonly Uint8Array[], environment: readonly Uint8Array[]): number {
    const strings = [...list, ...environment].map((bytes) => Buffer.concat([bytes, Uint8Array.of(0)]));
    const addresses = strings.map((bytes) => BigInt(addressOf(bytes)));
    const argv = BigUint64Array.of(...addresses.slice(0, list.length), 0n);
    const envp = BigUint64Array.of(...addresses.slice(list.length), 0n);
    // During exec, the kernel refuses to create threads that share the working directory and umask with the calling
    // thread (EAGAIN). Bun threads that tried have aborted the process, so this thread stops sharing them.
    const CLONE_FS = 0x200;
    this.functions.unshare(CLONE_FS);
    this.functions.execve(cString(path), argv, envp);
    return u32At(toAddress(Number(this.functions.__errno_location())));
  }
}
