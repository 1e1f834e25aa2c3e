// One allocator for the whole process. If a program brings its own malloc (in its executable, in a linked library, or
// preloaded), glibc and all of the program's libraries use it. The host's libraries must use it too; otherwise memory
// that crosses the border, or that glibc allocates for its caller (strdup, getline), is freed by the wrong allocator.
// The same holds for C++'s operator new, which a program may replace, too.
//
// As natively, the first definition in the global scope counts. There, one from a later dlopen comes after libc.

import { STT_GNU_IFUNC } from "../../lib/elf/constants.ts";
import type { LoadedImage } from "../../lib/elf/loaded.ts";
import { typeOf } from "../../lib/elf/sym.ts";
import { symbolObject } from "../../lib/elf/write/symbol-object.ts";
import { findIn } from "../../lib/loader/calls.ts";
import type { LoadedObject } from "../../lib/loader/link-map.ts";
import type { Address } from "../../lib/memory/numbers.ts";
import type { Linking } from "../../lib/process/process.ts";
import { LIBC } from "../../lib/tree/glibc-names.ts";
import { isCxxRuntime } from "../plan/allocators.ts";
import { isShared } from "../profiles/shared-set.ts";
import type { Linkage } from "./linkage.ts";

/** The functions of an allocator that is not libc's: name → address. */
export type Allocator = ReadonlyMap<string, Address>;

const CORE = ["malloc", "free", "calloc", "realloc"];

/** malloc(3), aligned_alloc(3), malloc_usable_size(3), C23's free_sized, and others that allocators replace. */
const MALLOC = [
  ...CORE,
  ..."cfree reallocarray memalign aligned_alloc posix_memalign valloc pvalloc".split(" "),
  ..."free_sized free_aligned_sized malloc_usable_size".split(" "),
  ..."malloc_trim malloc_stats malloc_info mallinfo mallinfo2 mallopt".split(" "),
  // glibc's own names for some of them, which allocators linked into programs (Chromium's) also replace
  ..."__libc_malloc __libc_calloc __libc_realloc __libc_free __libc_memalign __libc_valloc".split(" "),
  ..."__libc_pvalloc __libc_cfree __posix_memalign".split(" "),
];

const NEW = ["", "RKSt9nothrow_t", "St11align_val_t", "St11align_val_tRKSt9nothrow_t"];

/** new and delete, and those of arrays, as the Itanium C++ ABI mangles them: sized, aligned, nothrow. */
const OPERATORS = [
  ...["_Znwm", "_Znam"].flatMap((name) => NEW.map((form) => name + form)),
  ...["_ZdlPv", "_ZdaPv"].flatMap((name) => [...NEW, "m", "mSt11align_val_t"].map((form) => name + form)),
];

/**
 * `scope` is the global scope of the program's side, or the part of it before libc. `main` is its first link_map, whose
 * own scope it is. The first definition of each name counts.
 */
export function* allocatorOf(scope: readonly LoadedObject[], main: Address): Linking<Allocator> {
  const found = new Map<string, Address>();
  const before = inFrontOfLibc(scope);
  for (const name of MALLOC) yield* find(before, name, main, found);
  // If the C++ library's operator new precedes an object's own, the object has replaced nothing.
  const others = scope.filter(({ image }) => !isShared(image.soname ?? ""));
  for (const name of OPERATORS) yield* find(others, name, main, found, ({ soname }) => isCxxRuntime(soname ?? ""));
  return found;
}

/** Objects that replace libc's malloc, judged by the four names that glibc itself calls. */
export const providersOf = (scope: readonly LoadedObject[]): LoadedObject[] =>
  inFrontOfLibc(scope).filter(({ image }) => CORE.some((name) => image.find(name) !== undefined));

/** glibc's other libraries have such names only if they replace malloc (libc_malloc_debug). */
function inFrontOfLibc(scope: readonly LoadedObject[]): readonly LoadedObject[] {
  const libc = scope.findIndex(({ image }) => image.soname === LIBC);
  return libc < 0 ? scope : scope.slice(0, libc);
}

function* find(
  objects: readonly LoadedObject[],
  name: string,
  main: Address,
  found: Map<string, Address>,
  isUsual: (image: LoadedImage) => boolean = () => false,
): Linking<void> {
  for (const { image } of objects) {
    const index = image.find(name);
    if (index === undefined) continue;
    if (isUsual(image)) return;
    // dlsym takes the handle of an opened library or of the program: a library loaded at startup has no scope.
    const isIndirect = typeOf(image.symbols.at(index)) === STT_GNU_IFUNC;
    const address = isIndirect ? yield* findIn(main, name) : image.symbolAddress(index);
    if (address !== undefined) found.set(name, address);
    return;
  }
}

/**
 * Writes an object for the libc mirror to need, with the allocator's functions that glibc's libc lacks, including C++'s
 * operators: so they precede the host's own libstdc++. Returns its path, or undefined if there are none. Throws what
 * writing throws.
 */
export function beyondLibc(
  { directory, trace }: Linkage,
  token: number,
  allocator: Allocator,
  libc: LoadedImage,
): string | undefined {
  if (allocator.size > 0) trace.log("capsule", () => `allocator: ${[...allocator.keys()].join(" ")}`);
  const others = [...allocator].filter(([name]) => libc.find(name) === undefined);
  if (others.length === 0) return undefined;
  const functions = new Map(others.map(([name, address]) => [name, { address }]));
  return directory.write(`${token}-${ALLOCATOR}`, symbolObject({ soname: ALLOCATOR, functions }).bytes);
}

const ALLOCATOR = "capsule-allocator";
