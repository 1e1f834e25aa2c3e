// Before glibc 2.34 dlopen is in libdl.so.2, which a process need not have. The agent does not bring it: ld.so would give a
// program with a glibc of its own the machine's, and end it. So the server has libc open the one beside itself.

import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { findAddress } from "../../lib/elf/loaded.ts";
import { RTLD_LAZY } from "../../lib/loader/calls.ts";
import { firstLinkMap, linkMap } from "../../lib/loader/link-map.ts";
import type { Address } from "../../lib/memory/numbers.ts";
import type { OtherProcess } from "../../lib/process/other.ts";
import { LIBC } from "../../lib/tree/glibc-names.ts";
import { isShared } from "../profiles/shared-set.ts";

const LIBDL = "libdl.so.2";
/** glibc's own name for what tells a dlopen from what its other functions open. */
const RTLD_DLOPEN = 0x80000000;

/** A call by which a process gets libdl: a function of its libc's (GLIBC_PRIVATE), the file, and how it is opened. */
export interface LibdlCall {
  readonly open: Address;
  readonly file: string;
  readonly mode: number;
}

/** Undefined where dlopen is there, and where it cannot be had. `debug` is ld.so's _r_debug. */
export function missingLibdl(process: OtherProcess, debug: Address): LibdlCall | undefined {
  const objects = [...linkMap(process, firstLinkMap(process, debug))];
  const images = objects.map(({ image }) => image).filter(({ soname }) => soname !== undefined && isShared(soname));
  const libc = images.find(({ soname }) => soname === LIBC);
  if (!libc || findAddress(images, "dlopen") !== undefined) return undefined;
  const open = findAddress([libc], "__libc_dlopen_mode");
  if (open === undefined) return undefined;
  const beside = join(dirname(libc.path), LIBDL);
  const file = existsSync(`/proc/${process.task}/root${beside}`) ? beside : LIBDL;
  return { open, file, mode: RTLD_LAZY | RTLD_DLOPEN };
}
