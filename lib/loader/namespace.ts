// glibc's record of a namespace, in `_rtld_global`, which ld.so exports:
//
//   _dl_ns[n]   _ns_loaded           the first link_map
//               _ns_nloaded          number of objects (and padding)
//               _ns_main_searchlist  the list that RTLD_GLOBAL extends
//               … private
//   _dl_nns               one more than the last namespace in use; after the 16 records
//   _dl_load_lock         a recursive mutex; its holder may change what is loaded
//
// and, inside the first link_map, l_searchlist { r_list, r_nlist }: the global scope, which every object of the
// namespace searches first. Namespace 0's record comes first; _ns_main_searchlist points at the l_searchlist of its
// first link_map. Sizes and offsets differ by version (a record has 144 bytes in glibc 2.31, 160 in 2.36 and 2.41), so
// they are determined here, and whatever does not look as above is left alone.

import type { LoadedImage } from "../elf/loaded.ts";
import { readU64 } from "../memory/layout.ts";
import { findMapping, readMaps } from "../memory/maps.ts";
import { type Address, add, toAddress } from "../memory/numbers.ts";
import { type Process, pointerIn, setPointerIn, u32In } from "../process/process.ts";

const NS_LOADED = 0;
const NS_NLOADED = 8;
const NS_MAIN_SEARCHLIST = 16;
/** Number of records (DL_NNS). */
const RECORDS = 16;
/** Offset of the kind in a pthread_mutex_t, and the kind of a recursive one (PTHREAD_MUTEX_RECURSIVE_NP). */
const MUTEX_KIND = 16;
const RECURSIVE = 1;
/** How far into a link_map its search list may be; 0x2d8 in glibc 2.36. */
const LINK_MAP_LIMIT = 4096;

/** Where glibc keeps a namespace's global scope. */
export class GlobalScope {
  constructor(
    readonly process: Process,
    /** Address of the pointer to the array, which the number of entries (32 bits) follows. */
    readonly at: Address,
  ) {}

  get entries(): Address[] {
    return entriesOf(this.process, this.at);
  }

  /**
   * The same objects, each before its dependencies: glibc initializes from last to first. It keeps this list
   * (l_initfini), ended by NULL, in one allocation with the scope and just before it (2.31–2.41). Undefined if it is
   * not there, as when the scope has grown since the start.
   */
  get initializationOrder(): Address[] | undefined {
    const { process, entries } = this;
    const list = pointerIn(process, this.at);
    const start = add(list, -8 * (entries.length + 1));
    const mapping = findMapping(readMaps(process.task), start);
    if (!mapping || list > mapping.end) return undefined;
    const words = pointersIn(process, start, entries.length + 1);
    const order = words.slice(0, -1);
    return words.at(-1) === 0 && new Set([...order, ...entries]).size === entries.length ? order : undefined;
  }

  /** Makes the loader use `count` entries of the array at `list`, which it may free() when it grows the list. */
  set(list: Address, count: number): void {
    setPointerIn(this.process, this.at, list);
    this.process.write(add(this.at, 8), new Uint8Array(Uint32Array.of(count).buffer));
  }
}

/** What is in the search list (r_list, r_nlist) at an address. */
export const entriesOf = (process: Process, at: Address): Address[] =>
  pointersIn(process, pointerIn(process, at), u32In(process, add(at, 8)));

function pointersIn({ memory }: Process, at: Address, count: number): Address[] {
  if (at === 0 || count === 0) return [];
  const view = memory.view(at, 8 * count);
  return Array.from({ length: count }, (_, i) => toAddress(readU64(view, 8 * i)));
}

/** Where ld.so keeps what _dl_fini uses. */
interface Counting {
  /** The first link_map of the base namespace. */
  readonly first: Address;
  /** The number of namespaces (64 bits). */
  readonly count: Address;
  /** A pthread_mutex_t; its holder may change these. */
  readonly lock: Address;
}

export class Namespaces {
  readonly #global: Address;
  readonly #size: number;

  /** `loader` is the image of ld.so. */
  constructor(
    readonly process: Process,
    loader: LoadedImage,
  ) {
    const index = loader.find("_rtld_global");
    const sym = index === undefined ? undefined : loader.symbols.at(index);
    this.#global = sym ? loader.addressOf(sym.st_value) : toAddress(0);
    this.#size = sym?.st_size ?? 0;
  }

  /**
   * The base namespace's global scope; undefined if ld.so's structures are not as expected. `main` is its first
   * link_map.
   */
  baseScope(main: Address): GlobalScope | undefined {
    const { process } = this;
    if (this.#size < NS_MAIN_SEARCHLIST + 8 || pointerIn(process, add(this.#global, NS_LOADED)) !== main)
      return undefined;
    const at = pointerIn(process, add(this.#global, NS_MAIN_SEARCHLIST));
    if (!(at > main && at < main + LINK_MAP_LIMIT)) return undefined;
    return scopeOf(process, at, main);
  }

  /**
   * Sets _ns_main_searchlist of a namespace that dlmopen made: glibc leaves it NULL, and RTLD_GLOBAL dereferences it
   * and crashes (glibc 2.31–2.41 at least). `main` and `base` are the base namespace's first link_map and global scope;
   * `first` is the new namespace's first link_map, which has `objects`. Returns false, having changed nothing, if
   * ld.so's structures are not as expected.
   */
  allowGlobal(main: Address, base: GlobalScope, first: Address, objects: number): boolean {
    const { process } = this;
    const scope = scopeOf(process, add(first, base.at - main), first);
    if (!scope) return false;
    const record = this.recordOf(first, objects);
    if (record === undefined) return false;
    const field = add(record, NS_MAIN_SEARCHLIST);
    const before = pointerIn(process, field);
    if (before !== 0) return before === scope.at;
    setPointerIn(process, field, scope.at);
    return true;
  }

  /**
   * ld.so's record of the namespace that starts with the link_map `first` and has `objects` objects; undefined if none
   * matches.
   */
  recordOf(first: Address, objects: number): Address | undefined {
    // At once, as another process's memory is copied.
    const view = this.process.memory.view(this.#global, this.#size);
    for (let at = 8; at + NS_MAIN_SEARCHLIST + 8 <= this.#size; at += 8) {
      if (readU64(view, at + NS_LOADED) !== first) continue;
      if (view.getUint32(at + NS_NLOADED, true) === objects) return add(this.#global, at);
    }
    return undefined;
  }

  /**
   * Where the namespaces are counted. `first` is the first link_map of one of them, and `namespace` its number, which
   * is not 0. Undefined if ld.so's structures are not as expected.
   */
  findCounting(first: Address, namespace: number): Counting | undefined {
    const view = this.process.memory.view(this.#global, this.#size);
    for (let size = NS_MAIN_SEARCHLIST + 8; RECORDS * size + 8 <= this.#size; size += 8) {
      if (readU64(view, namespace * size + NS_LOADED) !== first) continue;
      const counting = this.#countingBehind(size, namespace);
      if (counting) return counting;
    }
    return undefined;
  }

  /** `size` is a record's. */
  #countingBehind(size: number, namespace: number): Counting | undefined {
    const { process } = this;
    const count = add(this.#global, RECORDS * size);
    const lock = add(count, 8);
    if (!(lock + MUTEX_KIND + 4 <= this.#global + this.#size)) return undefined;
    const used = pointerIn(process, count);
    if (!(used > namespace && used <= RECORDS)) return undefined;
    const isUsed = (index: number) => pointerIn(process, add(this.#global, index * size + NS_LOADED)) !== 0;
    if (!isUsed(used - 1) || (used < RECORDS && isUsed(used))) return undefined;
    if (u32In(process, add(lock, MUTEX_KIND)) !== RECURSIVE) return undefined;
    return { first: add(this.#global, NS_LOADED), count, lock };
  }

  /**
   * The first link_map of the namespace with that record; undefined once it is empty. What allowGlobal wrote is then
   * undone, as glibc reuses the record without checking. Do not ask dlmopen instead: for an empty namespace it fails
   * with the loader's lock held (glibc 2.36), and no thread can load anything any more.
   */
  findFirst(record: Address): Address | undefined {
    const first = pointerIn(this.process, add(record, NS_LOADED));
    if (first !== 0) return first;
    setPointerIn(this.process, add(record, NS_MAIN_SEARCHLIST), 0);
    return undefined;
  }
}

/** The search list at this address whose first entry is `first`; undefined if there is none. */
function scopeOf(process: Process, at: Address, first: Address): GlobalScope | undefined {
  const mappings = readMaps(process.task);
  if (!findMapping(mappings, add(at, 12))?.writable) return undefined;
  const list = pointerIn(process, at);
  const count = u32In(process, add(at, 8));
  const mapping = Number.isFinite(list) ? findMapping(mappings, list) : undefined;
  if (!mapping || count === 0 || !(list + 8 * count <= mapping.end) || pointerIn(process, list) !== first)
    return undefined;
  return new GlobalScope(process, at);
}
