// glibc's threads: a mutex, and thread-specific data.

import { FFIType } from "bun:ffi";
import { LinkError } from "../link-error.ts";
import { pointer } from "../memory/live.ts";
import type { Address } from "../memory/numbers.ts";
import type { Libc } from "./libc.ts";

const { ptr, i32 } = FFIType;

/** Makes a thread-specific data key with a destructor. Throws LinkError if no key is left. */
export function makeKey(libc: Libc, destructor: Address): number {
  const key = new Uint32Array(1);
  const errno = libc.callByName("pthread_key_create", [ptr, ptr], key, pointer(destructor));
  if (errno !== 0) throw new LinkError(`Cannot make a thread-specific value: errno ${errno}, all of them are taken`);
  return key[0] ?? 0;
}

/**
 * Makes a mutex at an address that other processes may map, too, and holds it for this thread's lifetime. It shows
 * others when the thread has died, for whatever reason: the kernel sets a bit in its first word (robust_futexes,
 * pthread_mutexattr_setrobust(3)). Throws LinkError.
 */
export function holdRobustMutex(libc: Libc, at: Address): void {
  // pthread_mutexattr_t has 4 bytes.
  const attributes = new Uint32Array(2);
  const [SHARED, ROBUST] = [1, 1];
  const call = (name: string, types: FFIType[], ...list: unknown[]): void => {
    const errno = libc.callByName(name, types, ...list);
    if (errno !== 0) throw new LinkError(`Cannot hold a mutex: ${name} says errno ${errno}`);
  };
  call("pthread_mutexattr_init", [ptr], attributes);
  call("pthread_mutexattr_setpshared", [ptr, i32], attributes, SHARED);
  call("pthread_mutexattr_setrobust", [ptr, i32], attributes, ROBUST);
  call("pthread_mutex_init", [ptr, ptr], pointer(at), attributes);
  call("pthread_mutex_lock", [ptr], pointer(at));
}
