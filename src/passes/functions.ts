// The functions of a process's glibc that we call or override.

import { findAddress, type LoadedImage } from "../../lib/elf/loaded.ts";
import { LinkError } from "../../lib/link-error.ts";
import type { Address } from "../../lib/memory/numbers.ts";
import { CALLABLE, type Callable } from "../../lib/process/process.ts";

/** glibc's own functions that our code calls or overrides. */
export interface Functions extends Readonly<Record<Callable, Address>> {
  readonly getenv: Address;
  readonly secure_getenv: Address;
  readonly dladdr1: Address;
  readonly dl_iterate_phdr: Address;
  readonly write: Address;
  /** __errno_location. */
  readonly errnoLocation: Address;
  readonly exit: Address;
  /** __cxa_atexit. */
  readonly atExit: Address;
  /** fcloseall */
  readonly closeAll: Address;
  /**
   * pthread_mutex_lock and pthread_mutex_unlock; before 2.34 libc's own, which forward to libpthread's once that is
   * loaded.
   */
  readonly lock: Address;
  readonly unlock: Address;
  /** A function without side effects: a mirror's __libc_early_init. */
  readonly nothing: Address;
}

/** Throws LinkError. */
export function addressIn(family: readonly LoadedImage[], name: string): Address {
  const found = findAddress(family, name);
  if (found === undefined) throw new LinkError(`Cannot find "${name}" in this process's glibc`, { symbol: name });
  return found;
}

/** glibc's own, even if others are preloaded before them. */
export function findFunctions(family: readonly LoadedImage[]): Functions {
  const own = (name: string): Address => addressIn(family, name);
  return {
    ...(Object.fromEntries(CALLABLE.map((name) => [name, own(name)])) as Record<(typeof CALLABLE)[number], Address>),
    getenv: own("getenv"),
    secure_getenv: own("secure_getenv"),
    dladdr1: own("dladdr1"),
    dl_iterate_phdr: own("dl_iterate_phdr"),
    write: own("write"),
    errnoLocation: own("__errno_location"),
    exit: own("exit"),
    atExit: own("__cxa_atexit"),
    closeAll: own("fcloseall"),
    lock: own("pthread_mutex_lock"),
    unlock: own("pthread_mutex_unlock"),
    nothing: own("abs"),
  };
}
