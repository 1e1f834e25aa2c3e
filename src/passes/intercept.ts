// Shows functions of libc elsewhere in its own symbol table: who asks libc for them by its handle, or reads the table,
// gets the agent's. The table says so as the gABI has it, relative to where libc is, modulo 2^64: overlays read it by
// themselves, and know nothing of SHN_ABS.

import { join } from "node:path";
import { PF_R, PF_W, PF_X, SHN_UNDEF } from "../../lib/elf/constants.ts";
import type { LoadedImage } from "../../lib/elf/loaded.ts";
import { Sym } from "../../lib/elf/sym.ts";
import type { Mapping } from "../../lib/memory/maps.ts";
import { type Address, add, toAddress } from "../../lib/memory/numbers.ts";
import { Patch } from "../../lib/process/patch.ts";
import type { Linking } from "../../lib/process/process.ts";
import { LIBC } from "../../lib/tree/glibc-names.ts";
import { emitAgent } from "../agent/code/ask.ts";
import { emitObjectFunctions } from "../agent/code/objects.ts";
import { emitPathFunctions } from "../agent/code/paths.ts";
import { emitSignalFunctions, emitSignalHandler } from "../agent/code/signals.ts";
import { LIBRARIES } from "../directories/library-path.ts";
import { SHARED } from "../profiles/shared-set.ts";
import type { EmitAsking, Launch, ProcessCode } from "./launch.ts";

/** The code for the program's side, whichever process it is for. */
export function codeOfProgramsSide(directory: string): ProcessCode<string[]> {
  const emit: EmitAsking<string[]> = (to, value, connection) => {
    const must = (name: string) => toAddress(value(name) ?? 0);
    const find = (name: string) => value(name) as Address | undefined;
    emitAgent(to, { connection, token: must("token"), dlopen: must("dlopen"), dlmopen: must("dlmopen") });
    // For its comparisons: the program's own file is where it says.
    emitPathFunctions(to, { program: "", hasTree: false, isHosted: false, find: () => undefined });
    emitObjectFunctions(to.align(16), {
      ...{ dladdr: must("dladdr"), dladdr1: must("dladdr1"), dlinfo: must("dlinfo") },
      ...{ dl_iterate_phdr: must("dl_iterate_phdr"), iterators: must("iterators"), programName: must("program") },
      // There is no other program in front of it.
      ownName: must("exeShim"),
      ...{ record: must("nothing"), first: must("nothing"), directory },
      // glibc's own, where they are another's than the machine's.
      links: SHARED.map((soname) => join(LIBRARIES, soname)),
    });
    emitSignalHandler(to.align(16), must("nothing"));
    return emitSignalFunctions(to, find);
  };
  return { key: "the program's side", emit, own: ["token", "program", "exeShim", "iterators", ...OWN_FUNCTIONS] };
}

/** What it calls of Functions. */
export const OWN_FUNCTIONS = [
  "dlopen",
  "dlmopen",
  "dladdr",
  "dladdr1",
  "dlinfo",
  "dl_iterate_phdr",
  "nothing",
] as const;

/** Collects into `patch` that functions of an image are elsewhere, and into `moved` where they have been. */
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
 * The same in a process of which the global scope has them in front of libc: for who asks libc itself, by its handle, or
 * reads its tables.
 */
export function* interceptHandles({ process, shared }: Launch, names: ReadonlyMap<string, Address>): Linking<void> {
  const patch = new Patch();
  // Before glibc 2.34 dlopen is in the second.
  const family = [LIBC, "libdl.so.2"].flatMap((soname) => shared.get(soname) ?? []);
  for (const image of family) showElsewhere(image, names, patch, new Map());
  // As they are known to be mapped: the kernel's list of what is takes a millisecond here.
  const mappings = family.flatMap(tableMapping).sort((a, b) => a.start - b.start);
  yield* patch.apply(process, mappings);
}

/** What is mapped where an image's symbols are. */
export function tableMapping({ path, loads, loadBias, symbolTableAt }: LoadedImage): Mapping[] {
  const load = loads.find(({ p_vaddr, p_filesz }) => symbolTableAt >= p_vaddr && symbolTableAt < p_vaddr + p_filesz);
  if (!load) return [];
  const [start, end] = [load.p_vaddr, load.p_vaddr + load.p_filesz].map((vaddr) => add(loadBias, vaddr));
  const has = (flag: number) => (load.p_flags & flag) !== 0;
  const kind = { readable: has(PF_R), writable: has(PF_W), executable: has(PF_X), shared: false };
  return [{ start: start ?? loadBias, end: end ?? loadBias, ...kind, offset: load.p_offset, inode: 0, path }];
}
