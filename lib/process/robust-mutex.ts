// A mutex that shows others when the thread that holds it has died, for whatever reason: the kernel sets a bit in its
// first word (robust_futexes, pthread_mutexattr_setrobust(3)).

import { CFunction, FFIType } from "bun:ffi";
import { LinkError } from "../link-error.ts";
import { pointer } from "../memory/live.ts";
import type { Address } from "../memory/numbers.ts";
import type { Libc } from "./libc.ts";

/**
 * Makes a mutex at an address that other processes may map, too, and holds it for this thread's lifetime. Throws
 * LinkError.
 */
export function holdRobustMutex(libc: Libc, at: Address): void {
  const { ptr, i32 } = FFIType;
  // pthread_mutexattr_t has 4 bytes.
  const attributes = new Uint32Array(2);
  const [SHARED, ROBUST] = [1, 1];
  const call = (name: string, args: FFIType[], ...list: unknown[]): void => {
    const errno = CFunction({ ptr: pointer(libc.mustFindSymbol(name)), args, returns: i32 })(...list);
    if (errno !== 0) throw new LinkError(`Cannot hold a mutex: ${name} says errno ${errno}`);
  };
  call("pthread_mutexattr_init", [ptr], attributes);
  call("pthread_mutexattr_setpshared", [ptr, i32], attributes, SHARED);
  call("pthread_mutexattr_setrobust", [ptr, i32], attributes, ROBUST);
  call("pthread_mutex_init", [ptr, ptr], pointer(at), attributes);
  call("pthread_mutex_lock", [ptr], pointer(at));
}
