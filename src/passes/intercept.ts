// Changes the addresses of functions in libc's own symbol table, so that code that looks them up by libc's handle, or
// reads the table, gets the agent's. As in the gABI, values are relative to libc's address, modulo 2^64: overlays read
// the table directly and do not know SHN_ABS.

import { join } from "node:path";
import { PF_R, PF_W, PF_X, SHN_UNDEF } from "../../lib/elf/constants.ts";
import type { LoadedImage } from "../../lib/elf/loaded.ts";
import { Sym } from "../../lib/elf/sym.ts";
import type { Mapping } from "../../lib/memory/maps.ts";
import { type Address, add, toAddress } from "../../lib/memory/numbers.ts";
import { Patch } from "../../lib/process/patch.ts";
import type { Linking } from "../../lib/process/process.ts";
import { LIBC, LIBDL } from "../../lib/tree/glibc-names.ts";
import { required } from "../../lib/x86-64/template.ts";
import { emitAgent } from "../agent/code/ask.ts";
import { emitObjectFunctions } from "../agent/code/objects.ts";
import { emitPathFunctions } from "../agent/code/paths.ts";
import { emitSignalFunctions, emitSignalHandler } from "../agent/code/signals.ts";
import { LIBRARIES } from "../directories/library-path.ts";
import { SHARED } from "../profiles/shared-set.ts";
import type { EmitAsking, Linkage, ProcessCode } from "./linkage.ts";

/** The code for the program's side, the same for every process. */
export function codeOfProgramsSide(directory: string): ProcessCode<string[]> {
  const emit: EmitAsking<string[]> = (to, value, connection) => {
    const must = (name: string) => toAddress(required(value, name));
    const find = (name: string) => value(name) as Address | undefined;
    emitAgent(to, { connection, token: must("token"), dlopen: must("dlopen"), dlmopen: must("dlmopen") });
    // For its comparisons: here, the program's own file is at the path it reports.
    emitPathFunctions(to, { program: "", hasTree: false, isHosted: false, find: () => undefined });
    emitObjectFunctions(to.align(16), {
      ...{ dladdr: must("dladdr"), dladdr1: must("dladdr1"), dlinfo: must("dlinfo") },
      ...{ dl_iterate_phdr: must("dl_iterate_phdr"), iterators: must("iterators"), programName: must("program") },
      // No other program precedes it.
      ownName: must("exeShim"),
      ...{ record: must("nothing"), first: must("nothing"), directory },
      // glibc's own, where the process does not use the machine's.
      links: SHARED.map((soname) => join(LIBRARIES, soname)),
    });
    emitSignalHandler(to.align(16), must("nothing"));
    return emitSignalFunctions(to, find);
  };
  return { key: "the program's side", emit, own: ["token", "program", "exeShim", "iterators", ...OWN_FUNCTIONS] };
}

/** Functions that report on objects. */
export const REPORTING = ["dladdr", "dladdr1", "dlinfo", "dl_iterate_phdr"] as const;

/** The members of Functions that it calls. */
export const OWN_FUNCTIONS = ["dlopen", "dlmopen", "nothing", ...REPORTING] as const;

/** Collects into `patch` the new addresses of an image's functions, and into `moved` the old ones. */
export function showElsewhere(
  image: LoadedImage,
  names: ReadonlyMap<string, Address>,
  patch: Patch,
  moved: Map<number, Address>,
): void {
  for (const [name, address] of names)
    for (const index of image.findAll(name)) {
      if (image.symbols.at(index).st_shndx === SHN_UNDEF) continue;
      const at = image.addressOf(add(image.symbolTableAt, index * Sym.size));
      moved.set(image.symbolAddress(index), address);
      patch.setPointer(add(at, Sym.offsetOf.st_value), image.vaddrAt(address));
    }
}

/**
 * The same in a process whose global scope has them before libc: for code that looks them up by libc's own handle, or
 * reads its tables.
 */
export function* interceptHandles({ process, shared }: Linkage, names: ReadonlyMap<string, Address>): Linking<void> {
  const patch = new Patch();
  // Before glibc 2.34, dlopen is in the second.
  const family = [LIBC, LIBDL].flatMap((soname) => shared.get(soname) ?? []);
  for (const image of family) showElsewhere(image, names, patch, new Map());
  // Mappings derived from the program headers: the kernel's list takes a millisecond to read here.
  const mappings = family.flatMap(tableMapping).sort((a, b) => a.start - b.start);
  yield* patch.apply(process, mappings);
}

/** The mapping that contains an image's symbols. */
export function tableMapping({ path, loads, loadBias, symbolTableAt }: LoadedImage): Mapping[] {
  const load = loads.find(({ p_vaddr, p_filesz }) => symbolTableAt >= p_vaddr && symbolTableAt < p_vaddr + p_filesz);
  if (!load) return [];
  const start = add(loadBias, load.p_vaddr);
  const has = (flag: number) => (load.p_flags & flag) !== 0;
  const kind = { readable: has(PF_R), writable: has(PF_W), executable: has(PF_X), shared: false };
  return [{ start, end: add(start, load.p_filesz), ...kind, offset: load.p_offset, inode: 0, path }];
}
