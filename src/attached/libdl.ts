// Before glibc 2.34, dlopen is in libdl.so.2, which a process need not have. The agent cannot need it: ld.so would give
// a program with its own glibc the machine's, and end it. So the server makes libc open the one beside itself.

import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { findAddress } from "../../lib/elf/loaded.ts";
import { RTLD_LAZY } from "../../lib/loader/calls.ts";
import type { LoadedObject } from "../../lib/loader/link-map.ts";
import type { Address } from "../../lib/memory/numbers.ts";
import type { OtherProcess } from "../../lib/process/other.ts";
import { LIBC, LIBDL } from "../../lib/tree/glibc-names.ts";
import { isShared } from "../profiles/shared-set.ts";

/** glibc's own name for the flag that marks a dlopen, as opposed to its internal opens. */
const RTLD_DLOPEN = 0x80000000;

/** A call that loads libdl: a function of the process's libc (GLIBC_PRIVATE), the file, and the mode. */
export interface LibdlCall {
  readonly open: Address;
  readonly file: string;
  readonly mode: number;
}

/** Undefined if dlopen is already there, or cannot be had. `objects` are the process's. */
export function missingLibdl(process: OtherProcess, objects: readonly LoadedObject[]): LibdlCall | undefined {
  const images = objects.map(({ image }) => image).filter(({ soname }) => soname !== undefined && isShared(soname));
  const libc = images.find(({ soname }) => soname === LIBC);
  if (!libc || findAddress(images, "dlopen") !== undefined) return undefined;
  const open = findAddress([libc], "__libc_dlopen_mode");
  if (open === undefined) return undefined;
  const beside = join(dirname(libc.path), LIBDL);
  const file = existsSync(`/proc/${process.task}/root${beside}`) ? beside : LIBDL;
  return { open, file, mode: RTLD_LAZY | RTLD_DLOPEN };
}
