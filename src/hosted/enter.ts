// Hands the process over to the program.

import { CFunction } from "bun:ffi";
import { pointer } from "../../lib/memory/live.ts";
import type { Address } from "../../lib/memory/numbers.ts";

/** Calls the program's entry point, which calls the replacement of __libc_start_main, which does not return. */
export function enter(entry: Address): never {
  CFunction({ ptr: pointer(entry), args: [], returns: "void" })();
  throw new Error("The program's entry point returned");
}
