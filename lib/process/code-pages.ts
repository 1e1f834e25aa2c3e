// Our machine code in this process, on its own pages, which stay.

import { type Address, alignUp, PAGE_SIZE, toAddress } from "../memory/numbers.ts";
import type { Libc } from "./libc.ts";
import { install } from "./patch.ts";

/** Returns the code's address. Throws LinkError. */
export function placeCode(libc: Libc, bytes: Uint8Array): Address {
  const at = libc.allocatePages(alignUp(toAddress(bytes.length), PAGE_SIZE), false);
  libc.run(install(libc, bytes, at));
  return at;
}
