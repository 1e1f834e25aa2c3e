// The functions of a process's glibc that we call or override.

import { findAddress, type LoadedImage } from "../../lib/elf/loaded.ts";
import { LinkError } from "../../lib/link-error.ts";
import type { Address } from "../../lib/memory/numbers.ts";
import { CALLABLE, type Callable } from "../../lib/process/process.ts";

/** Those that passes do not call, by the names that we give them. */
const OTHERS = {
  getenv: "getenv",
  secure_getenv: "secure_getenv",
  dladdr1: "dladdr1",
  dl_iterate_phdr: "dl_iterate_phdr",
  write: "write",
  errnoLocation: "__errno_location",
  exit: "exit",
  atExit: "__cxa_atexit",
  closeAll: "fcloseall",
  // Before 2.34 libc's own, which forward to libpthread's once that is loaded.
  lock: "pthread_mutex_lock",
  unlock: "pthread_mutex_unlock",
  // A function without side effects: a mirror's __libc_early_init.
  nothing: "abs",
};

/** glibc's own functions that our code calls or overrides. */
export type Functions = Readonly<Record<Callable | keyof typeof OTHERS, Address>>;

/** Throws LinkError. */
export function addressIn(family: readonly LoadedImage[], name: string): Address {
  const found = findAddress(family, name);
  if (found === undefined) throw new LinkError(`Cannot find "${name}" in this process's glibc`, { symbol: name });
  return found;
}

/** glibc's own, even if others are preloaded before them. Throws LinkError. */
export function findFunctions(family: readonly LoadedImage[]): Functions {
  const names = [...CALLABLE.map((name) => [name, name] as const), ...Object.entries(OTHERS)];
  return Object.fromEntries(names.map(([key, name]) => [key, addressIn(family, name)])) as Functions;
}
