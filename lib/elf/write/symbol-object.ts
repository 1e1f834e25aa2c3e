// A shared object with a few symbols of its own, and with dependencies.

import { type Address, toVaddr } from "../../memory/numbers.ts";
import * as elf from "../constants.ts";
import { Rela } from "../rela.ts";
import { Sym } from "../sym.ts";
import {
  emitSharedObject,
  type Place,
  placeFunction,
  planSharedObject,
  type SharedObjectPlan,
  type Table,
  type ThreadLocal,
} from "./shared-object.ts";
import { StringTableWriter } from "./string-table.ts";

interface SymbolObjectOptions {
  readonly soname: string;
  /** Sonames or paths. */
  readonly needed?: readonly string[];
  /** DT_RPATH: where ld.so looks first for its dependencies, even before LD_LIBRARY_PATH. */
  readonly rpath?: string;
  /** Functions without versions: they match a reference with any version. */
  readonly functions?: ReadonlyMap<string, Place>;
  /** Other libraries' objects, unique in a namespace (STB_GNU_UNIQUE). */
  readonly unique?: ReadonlyMap<string, Address>;
  readonly zeroPages?: number;
  /** DT_FINI, in bytes into the zero pages. */
  readonly fini?: number;
  /** DF_1_NODELETE */
  readonly nodelete?: boolean;
  /** A thread-local block of its own, which must be in static TLS. */
  readonly staticTls?: ThreadLocal;
  /** A thread-local variable of another object, whose block must be in static TLS. */
  readonly wantedTls?: string;
}

export function symbolObject(options: SymbolObjectOptions): { bytes: Uint8Array; plan: SharedObjectPlan } {
  const functions = [...(options.functions ?? [])];
  const unique = [...(options.unique ?? [])];
  const strings = new StringTableWriter();
  const soname = strings.add(options.soname);
  const needed = (options.needed ?? []).map((name) => strings.add(name));
  const rpath = options.rpath === undefined ? undefined : strings.add(options.rpath);
  const names = [...functions, ...unique].map(([name]) => strings.add(name));
  const wanted = options.wantedTls === undefined ? undefined : strings.add(options.wantedTls);

  const count = names.length + (wanted === undefined ? 1 : 2);
  const symbols = new Uint8Array(count * Sym.size);
  const tables = [
    { tag: elf.DT_SYMTAB, bytes: symbols },
    { tag: elf.DT_STRTAB, bytes: strings.bytes },
    hashOfFirst(names.length, count),
  ];
  const relocations = new Uint8Array(Rela.size);
  const slots = wanted !== undefined || options.staticTls ? 1 : 0;
  if (slots > 0) tables.push({ tag: elf.DT_RELA, bytes: relocations });
  const plan = planSharedObject({
    ...{ tables, soname, needed, rpath, slots, zeroPages: options.zeroPages, zeroPagesFini: options.fini },
    tls: options.staticTls,
    flags1: options.nodelete ? elf.DF_1_NODELETE : undefined,
    osAbi: unique.length > 0 ? elf.ELFOSABI_GNU : undefined,
  });
  const relocation = Rela.at(new DataView(relocations.buffer));
  relocation.r_offset = plan.slotsAt;
  relocation.r_type = elf.R_X86_64_TPOFF64;
  if (wanted !== undefined) {
    // Undefined, and after the symbols that the hash table covers.
    const index = count - 1;
    const sym = Sym.at(new DataView(symbols.buffer), index * Sym.size);
    sym.st_name = wanted;
    sym.st_info = (elf.STB_GLOBAL << 4) | elf.STT_TLS;
    relocation.r_sym = index;
  }
  functions.forEach(([, place], i) => {
    const sym = Sym.at(new DataView(symbols.buffer), (i + 1) * Sym.size);
    sym.st_name = names[i] ?? 0;
    sym.st_info = elf.STB_GLOBAL << 4;
    placeFunction(sym, place, plan);
  });
  unique.forEach(([, address], i) => {
    const index = functions.length + i;
    const sym = Sym.at(new DataView(symbols.buffer), (index + 1) * Sym.size);
    sym.st_name = names[index] ?? 0;
    sym.st_info = (elf.STB_GNU_UNIQUE << 4) | elf.STT_OBJECT;
    sym.st_shndx = elf.SHN_ABS;
    sym.st_value = toVaddr(address);
  });
  return { bytes: emitSharedObject(plan), plan };
}

/** A hash table for `count` symbols, in which symbols 1 to `found` can be looked up. */
export function hashOfFirst(found: number, count: number): Table {
  // An empty bloom filter. For DT_HASH, ld.so would hash every name again, as hardly any other object has one.
  if (count === 1)
    return { tag: elf.DT_GNU_HASH, bytes: new Uint8Array(Uint32Array.of(1, count, 1, 0, 0, 0, 0).buffer) };
  const hash = new Uint32Array(2 + 1 + count); // one bucket: lookups are rare
  hash.set([1, count, found]);
  for (let i = 1; i <= found; i++) hash[3 + i] = i - 1;
  return { tag: elf.DT_HASH, bytes: new Uint8Array(hash.buffer) };
}
