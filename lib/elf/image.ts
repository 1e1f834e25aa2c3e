// An ELF image, read by vaddr. Where its bytes come from (a file, live memory)
// is the business of `ImageBytes`; everything that is read through the dynamic
// section is here, once, for both.

import { add, toVaddr, type Vaddr } from "../memory/numbers.ts";
import {
  DT_FLAGS_1,
  DT_GNU_HASH,
  DT_HASH,
  DT_JMPREL,
  DT_NEEDED,
  DT_PLTRELSZ,
  DT_RELA,
  DT_RELACOUNT,
  DT_RELASZ,
  DT_RELR,
  DT_RELRSZ,
  DT_RPATH,
  DT_RUNPATH,
  DT_SONAME,
  DT_STRSZ,
  DT_STRTAB,
  DT_SYMTAB,
  DT_VERDEF,
  DT_VERDEFNUM,
  DT_VERNEED,
  DT_VERNEEDNUM,
  DT_VERSYM,
  PT_DYNAMIC,
  PT_GNU_RELRO,
  PT_TLS,
  VER_NDX_GLOBAL,
} from "./constants.ts";
import { Dynamic } from "./dyn.ts";
import type { Ehdr } from "./ehdr.ts";
import { ElfError } from "./error.ts";
import { GnuHash, gnuHash } from "./gnu-hash.ts";
import { loadSegments, type Phdr } from "./phdr.ts";
import { Rela, RelaTable } from "./rela.ts";
import { relrSlots } from "./relr.ts";
import { StringTable } from "./strings.ts";
import { isExported, Sym, SymbolTable } from "./sym.ts";
import { SysvHash, sysvHash } from "./sysv-hash.ts";
import { type DefinedVersion, type NeededVersion, readVerdefs, readVerneeds, Versym } from "./versions.ts";

/** Where an image's bytes come from. Both methods throw ElfError, naming `structure`, for bytes that are not there. */
export interface ImageBytes {
  /** `length` bytes at a vaddr. */
  view(vaddr: Vaddr, length: number, structure: string): DataView;
  /**
   * All bytes from a vaddr to `end` or to the end of what its segment has, for tables that do not say how long they
   * are.
   */
  rest(vaddr: Vaddr, structure: string, end: Vaddr): DataView;
  /** A pointer-valued entry of the dynamic section as a vaddr. */
  vaddrOf(pointer: number): Vaddr;
}

const encoder = new TextEncoder();

/** What the dynamic section names lies side by side in most images. */
const TABLES = [
  DT_HASH,
  DT_GNU_HASH,
  DT_STRTAB,
  DT_SYMTAB,
  DT_RELA,
  DT_JMPREL,
  DT_RELR,
  DT_VERSYM,
  DT_VERDEF,
  DT_VERNEED,
];

export class Image {
  /** The PT_LOAD headers, in order, checked. */
  readonly loads: readonly Phdr[];
  readonly dynamic: Dynamic;
  readonly strings: StringTable;
  #symbols?: SymbolTable;
  #gnuHash?: GnuHash;
  #sysvHash?: SysvHash;
  #versym?: Versym;
  #verdefs?: readonly DefinedVersion[];
  #verneeds?: readonly NeededVersion[];
  #versionNames?: ReadonlyMap<number, string>;

  /** Throws ElfError where there is no dynamic section, or one that cannot be read. */
  constructor(
    readonly path: string,
    readonly ehdr: Ehdr,
    readonly phdrs: readonly Phdr[],
    readonly bytes: ImageBytes,
  ) {
    this.loads = loadSegments(path, phdrs);
    const section = this.segment(PT_DYNAMIC);
    if (!section) throw new ElfError(path, "program headers", "there is no PT_DYNAMIC: the file is statically linked");
    this.dynamic = new Dynamic(bytes.view(section.p_vaddr, section.p_filesz, "dynamic section"));
    const strings = this.#pointer(DT_STRTAB);
    const size = strings === undefined ? 0 : (this.dynamic.get(DT_STRSZ) ?? 0);
    this.strings = new StringTable(path, size, (offset, length) =>
      bytes.view(add(toVaddr(strings ?? 0), offset), length, "string table"),
    );
  }

  segment(type: number): Phdr | undefined {
    return this.phdrs.find((phdr) => phdr.p_type === type);
  }

  /** The end of the last segment in memory. */
  get end(): Vaddr {
    const last = this.loads.at(-1);
    return toVaddr(last ? last.p_vaddr + last.p_memsz : 0);
  }

  get soname(): string | undefined {
    return this.#string(DT_SONAME);
  }

  /** Where the soname is in the string table, in bytes. */
  get sonameOffset(): number | undefined {
    return this.dynamic.get(DT_SONAME);
  }

  /** DT_NEEDED, in order. */
  get needed(): string[] {
    return this.dynamic.all(DT_NEEDED).map((offset) => this.strings.at(offset));
  }

  get rpath(): string | undefined {
    return this.#string(DT_RPATH);
  }

  get runpath(): string | undefined {
    return this.#string(DT_RUNPATH);
  }

  get flags1(): number {
    return this.dynamic.get(DT_FLAGS_1) ?? 0;
  }

  get tls(): Phdr | undefined {
    return this.segment(PT_TLS);
  }

  get relro(): Phdr | undefined {
    return this.segment(PT_GNU_RELRO);
  }

  get gnuHash(): GnuHash | undefined {
    const at = this.#pointer(DT_GNU_HASH);
    if (at === undefined) return undefined;
    this.#gnuHash ??= new GnuHash(this.path, this.#rest(at, "DT_GNU_HASH"));
    return this.#gnuHash;
  }

  get sysvHash(): SysvHash | undefined {
    const at = this.#pointer(DT_HASH);
    if (at === undefined) return undefined;
    this.#sysvHash ??= new SysvHash(this.path, this.#rest(at, "DT_HASH"));
    return this.#sysvHash;
  }

  /** Where the strings of the dynamic section and of the symbols are. */
  get stringTableAt(): Vaddr {
    return this.#pointer(DT_STRTAB) ?? toVaddr(0);
  }

  /** Where the dynamic symbols are. */
  get symbolTableAt(): Vaddr {
    return this.#pointer(DT_SYMTAB) ?? toVaddr(0);
  }

  /** The dynamic symbols. Throws ElfError where no hash table says how many there are. */
  get symbols(): SymbolTable {
    if (!this.#symbols) {
      const at = this.#pointer(DT_SYMTAB);
      const count = this.#symbolCount();
      if (at === undefined || count === undefined)
        throw new ElfError(this.path, "dynamic section", "it names no symbol table, or no hash table for it");
      this.#symbols = new SymbolTable(this.bytes.view(at, count * Sym.size, "symbol table"), this.strings);
    }
    return this.#symbols;
  }

  get versym(): Versym | undefined {
    const at = this.#pointer(DT_VERSYM);
    if (at === undefined) return undefined;
    this.#versym ??= new Versym(this.bytes.view(at, 2 * this.symbols.length, "version table"));
    return this.#versym;
  }

  /** From DT_VERDEF to the next table or the end of its segment. */
  get verdefView(): DataView | undefined {
    const at = this.#pointer(DT_VERDEF);
    return at === undefined ? undefined : this.#rest(at, "DT_VERDEF");
  }

  /** The versions that this object defines, its own name (isBase) among them. */
  get verdefs(): readonly DefinedVersion[] {
    const view = this.#verdefs ? undefined : this.verdefView;
    if (view) this.#verdefs = readVerdefs(this.path, view, this.dynamic.get(DT_VERDEFNUM) ?? 0, this.strings);
    return this.#verdefs ?? [];
  }

  /** The versions that this object needs of others. */
  get verneeds(): readonly NeededVersion[] {
    const at = this.#pointer(DT_VERNEED);
    if (at === undefined) return [];
    this.#verneeds ??= readVerneeds(
      this.path,
      this.#rest(at, "DT_VERNEED"),
      this.dynamic.get(DT_VERNEEDNUM) ?? 0,
      this.strings,
    );
    return this.#verneeds;
  }

  /** DT_RELA. Its first `relativeCount` entries are RELATIVE. */
  get rela(): RelaTable {
    return new RelaTable(this.#table(DT_RELA, DT_RELASZ, "DT_RELA"));
  }

  /** DT_RELA behind those, which a large program has a million of, and which refer to no symbol. */
  get symbolicRela(): RelaTable {
    const size = this.dynamic.get(DT_RELASZ) ?? 0;
    return new RelaTable(this.#table(DT_RELA, DT_RELASZ, "DT_RELA", Math.min(size, this.relativeCount * Rela.size)));
  }

  get relativeCount(): number {
    return this.dynamic.get(DT_RELACOUNT) ?? 0;
  }

  /** DT_JMPREL: the procedure linkage table's relocations. */
  get jmprel(): RelaTable {
    return new RelaTable(this.#table(DT_JMPREL, DT_PLTRELSZ, "DT_JMPREL"));
  }

  /** DT_RELR: the slots of relative relocations in their packed form. */
  get relr(): Generator<Vaddr> {
    return relrSlots(this.#table(DT_RELR, DT_RELRSZ, "DT_RELR"));
  }

  /**
   * The index of an exported symbol. Without a version: the default one (`f@@V2`, or `f` where there are none), as
   * dlsym finds it. With one, as a relocation finds it: that very version, or a symbol that has none.
   */
  find(name: string | Uint8Array, version?: string): number | undefined {
    for (const index of this.findAll(name)) if (this.#hasVersion(index, version)) return index;
    return undefined;
  }

  /** The indexes of an exported symbol in all its versions. */
  *findAll(name: string | Uint8Array): Generator<number> {
    const bytes = typeof name === "string" ? encoder.encode(name) : name;
    const candidates = this.gnuHash?.candidates(gnuHash(bytes)) ?? this.sysvHash?.candidates(sysvHash(bytes)) ?? [];
    const { symbols } = this;
    for (const index of candidates) {
      const sym = symbols.at(index);
      if (isExported(sym) && equal(this.strings.bytesAt(sym.st_name), bytes)) yield index;
    }
  }

  /** The name of the version that a symbol has, or wants where it is undefined; undefined where there is none. */
  versionOf(symbol: number): string | undefined {
    const index = this.versym?.at(symbol);
    if (index === undefined || index <= VER_NDX_GLOBAL) return undefined;
    // A program that has a library's object by a COPY relocation exports it with the version that it needs of the
    // library.
    this.#versionNames ??= new Map([...this.verneeds, ...this.verdefs].map(({ index, name }) => [index, name]));
    return this.#versionNames.get(index);
  }

  #hasVersion(symbol: number, version: string | undefined): boolean {
    const { versym } = this;
    if (!versym) return true;
    if (version === undefined) return !versym.isHidden(symbol);
    return versym.at(symbol) <= VER_NDX_GLOBAL ? !versym.isHidden(symbol) : this.versionOf(symbol) === version;
  }

  #symbolCount(): number | undefined {
    const { gnuHash } = this;
    if (this.sysvHash || !gnuHash?.isEmpty) return this.sysvHash?.symbolCount ?? gnuHash?.symbolCount;
    // Nothing is exported, so only relocations refer to symbols.
    let count = gnuHash.symbolCount;
    for (const table of [this.rela, this.jmprel]) for (const { r_sym } of table) count = Math.max(count, r_sym + 1);
    return count;
  }

  /**
   * A table that does not say how long it is, up to the next one at most: the segments around them reach to 100 MB
   * (libLLVM), and are read or, from another process, copied.
   */
  #rest(at: Vaddr, structure: string): DataView {
    let end = toVaddr(Number.POSITIVE_INFINITY);
    for (const tag of TABLES) {
      const table = this.#pointer(tag);
      if (table !== undefined && table > at && table < end) end = table;
    }
    return this.bytes.rest(at, structure, end);
  }

  #string(tag: number): string | undefined {
    const offset = this.dynamic.get(tag);
    return offset === undefined ? undefined : this.strings.at(offset);
  }

  #pointer(tag: number): Vaddr | undefined {
    const value = this.dynamic.get(tag);
    return value === undefined ? undefined : this.bytes.vaddrOf(value);
  }

  /** Without its first bytes. */
  #table(tag: number, sizeTag: number, structure: string, first = 0): DataView {
    const at = this.#pointer(tag);
    const size = (this.dynamic.get(sizeTag) ?? 0) - first;
    return at === undefined || size <= 0
      ? new DataView(new ArrayBuffer(0))
      : this.bytes.view(add(at, first), size, structure);
  }
}

function equal(one: Uint8Array, other: Uint8Array): boolean {
  if (one.length !== other.length) return false;
  for (let i = 0; i < one.length; i++) if (one[i] !== other[i]) return false;
  return true;
}
