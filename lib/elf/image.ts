// An ELF image, read by vaddr. `ImageBytes` supplies the bytes, from a file or live memory; everything that is read
// through the dynamic section is here, once for both.

import { add, alignUp, toVaddr, type Vaddr } from "../memory/numbers.ts";
import * as elf from "./constants.ts";
import { Dynamic } from "./dyn.ts";
import type { Ehdr } from "./ehdr.ts";
import { ElfError } from "./error.ts";
import { type Answer, candidatesIn, findSymbol, wantedSymbol } from "./find-symbol.ts";
import { GnuHash } from "./gnu-hash.ts";
import { loadSegments, type Phdr } from "./phdr.ts";
import { Rela, RelaTable } from "./rela.ts";
import { relrSlots } from "./relr.ts";
import { StringTable } from "./strings.ts";
import { Sym, SymbolTable } from "./sym.ts";
import { SysvHash } from "./sysv-hash.ts";
import { type DefinedVersion, definitions, type NeededVersion, readVerdefs, readVerneeds, Versym } from "./versions.ts";
import { wordsOf } from "./words.ts";

/**
 * The source of an image's bytes. `view` and `rest` throw ElfError, naming `structure`, for bytes that are not there.
 */
export interface ImageBytes {
  /** `length` bytes at a vaddr. */
  view(vaddr: Vaddr, length: number, structure: string): DataView;
  /** All bytes from a vaddr to `end` or the end of its segment, for tables that do not give their length. */
  rest(vaddr: Vaddr, structure: string, end: Vaddr): DataView;
  /** Number of bytes from a vaddr to the end of its mapping; 0 if it is not mapped. */
  room(vaddr: Vaddr): number;
  /** A pointer-valued entry of the dynamic section as a vaddr. */
  vaddrOf(pointer: number): Vaddr;
}

/** A library whose symbols take precedence over those of the one that names it (ld -f, -F). */
export interface Filtee {
  readonly name: string;
  /** DT_AUXILIARY: it may be missing. */
  readonly isOptional: boolean;
}

/** The tables that the dynamic section names, adjacent in most images. */
const TABLES = [
  elf.DT_HASH,
  elf.DT_GNU_HASH,
  elf.DT_STRTAB,
  elf.DT_SYMTAB,
  elf.DT_RELA,
  elf.DT_JMPREL,
  elf.DT_RELR,
  elf.DT_VERSYM,
  elf.DT_VERDEF,
  elf.DT_VERNEED,
];

/** In bytes. */
const RELA_PIECE = 65536 * Rela.size;

export class Image {
  /** The PT_LOAD headers, in order, checked. */
  readonly loads: readonly Phdr[];
  readonly dynamic: Dynamic;
  readonly dynamicSegment: Phdr;
  /** Where the dynamic section is. */
  readonly dynamicAt: Vaddr;
  readonly strings: StringTable;

  /** Throws ElfError if there is no dynamic section, or it cannot be read. */
  constructor(
    readonly path: string,
    readonly ehdr: Ehdr,
    readonly phdrs: readonly Phdr[],
    readonly bytes: ImageBytes,
  ) {
    this.loads = loadSegments(path, phdrs);
    // The last one counts; split-off debugging information has an empty one.
    const section = phdrs.findLast(({ p_type }) => p_type === elf.PT_DYNAMIC);
    if (!section || section.p_filesz === 0)
      throw new ElfError(path, "program headers", "there is no PT_DYNAMIC: the file is statically linked");
    this.dynamicSegment = section;
    this.dynamicAt = section.p_vaddr;
    this.dynamic = this.#readDynamic(section.p_filesz);
    const strings = this.#pointer(elf.DT_STRTAB);
    const size = strings === undefined ? 0 : (this.dynamic.get(elf.DT_STRSZ) ?? 0);
    const at = strings ?? toVaddr(0);
    this.strings = new StringTable(path, size, (from, length) => bytes.view(add(at, from), length, "string table"), {
      room: () => (strings === undefined ? 0 : bytes.room(at)),
      last: (room) => lastString(this, room),
    });
  }

  /** The last header of a type that occupies memory, which a loader uses, or else the last one. */
  segment(type: number): Phdr | undefined {
    const isIt = (phdr: Phdr) => phdr.p_type === type;
    return this.phdrs.findLast((phdr) => isIt(phdr) && phdr.p_memsz > 0) ?? this.phdrs.findLast(isIt);
  }

  /** The end of the last segment in memory. */
  get end(): Vaddr {
    return toVaddr(Math.max(0, ...this.loads.map(({ p_vaddr, p_memsz }) => p_vaddr + p_memsz)));
  }

  /** Where the program headers are in memory; undefined if no segment has them. */
  get headersAt(): Vaddr | undefined {
    const { e_phoff } = this.ehdr;
    const load = this.loads.find(({ p_offset, p_filesz }) => e_phoff >= p_offset && e_phoff < p_offset + p_filesz);
    return load && add(load.p_vaddr, e_phoff - load.p_offset);
  }

  get soname(): string | undefined {
    return this.#string(elf.DT_SONAME);
  }

  /** Offset of the soname in the string table, in bytes. */
  get sonameOffset(): number | undefined {
    return this.dynamic.get(elf.DT_SONAME);
  }

  /** DT_NEEDED, in order. */
  get needed(): string[] {
    return this.dynamic.all(elf.DT_NEEDED).map((offset) => this.strings.at(offset));
  }

  /** DT_AUXILIARY and DT_FILTER, in order. */
  get filtees(): Filtee[] {
    const entries = this.dynamic.entries.filter(({ tag }) => tag === elf.DT_AUXILIARY || tag === elf.DT_FILTER);
    return entries.map(({ tag, value }) => ({ name: this.strings.at(value), isOptional: tag === elf.DT_AUXILIARY }));
  }

  get rpath(): string | undefined {
    return this.#string(elf.DT_RPATH);
  }

  get runpath(): string | undefined {
    return this.#string(elf.DT_RUNPATH);
  }

  get flags1(): number {
    return this.dynamic.get(elf.DT_FLAGS_1) ?? 0;
  }

  get tls(): Phdr | undefined {
    return this.segment(elf.PT_TLS);
  }

  get relro(): Phdr | undefined {
    return this.segment(elf.PT_GNU_RELRO);
  }

  get gnuHash(): GnuHash | undefined {
    return this.#gnuHash();
  }
  // A lookup needs it and other tables, and finding one by its tag takes longer than the lookup itself.
  readonly #gnuHash = once(() => {
    const view = this.#rest(elf.DT_GNU_HASH, "DT_GNU_HASH");
    return view && new GnuHash(this.path, view);
  });

  /** Also undefined if it is invalid and ignored, as there is a DT_GNU_HASH. */
  get sysvHash(): SysvHash | undefined {
    return this.#sysvHash();
  }
  readonly #sysvHash = once(() => {
    const isPassedOver = this.#pointer(elf.DT_GNU_HASH) !== undefined;
    try {
      const view = this.#rest(elf.DT_HASH, "DT_HASH");
      const table = view && new SysvHash(this.path, view, isPassedOver);
      return isPassedOver && table?.declaredCount === 0 ? undefined : table;
    } catch (error) {
      if (isPassedOver && error instanceof ElfError) return undefined;
      throw error;
    }
  });

  /** Where the strings of the dynamic section and the symbols are. */
  get stringTableAt(): Vaddr {
    return this.#pointer(elf.DT_STRTAB) ?? toVaddr(0);
  }

  /** Where the dynamic symbols are. */
  get symbolTableAt(): Vaddr {
    return this.#pointer(elf.DT_SYMTAB) ?? toVaddr(0);
  }

  /**
   * The dynamic symbols: as many as the hash tables cover, or else relocations refer to. Throws ElfError if there is no
   * table.
   */
  get symbols(): SymbolTable {
    return this.#symbols();
  }
  readonly #symbols = once(() => {
    const at = this.#pointer(elf.DT_SYMTAB);
    if (at === undefined) throw new ElfError(this.path, "dynamic section", "it names no symbol table");
    const view = (index: number, count: number) =>
      this.bytes.view(add(at, index * Sym.size), count * Sym.size, "symbol table");
    return new SymbolTable(view(0, this.#symbolCount(at)), this.strings, (index) =>
      (index + 1) * Sym.size <= this.bytes.room(at) ? view(index, 1) : undefined,
    );
  });

  get versym(): Versym | undefined {
    return this.#versym();
  }
  readonly #versym = once(() => {
    const at = this.#pointer(elf.DT_VERSYM);
    if (at === undefined) return undefined;
    return new Versym(this.bytes.view(at, 2 * this.symbols.length, "version table"), (symbol) =>
      this.bytes.view(add(at, 2 * symbol), 2, "version table"),
    );
  });

  /** From DT_VERDEF to the next table or the end of its segment. */
  get verdefView(): DataView | undefined {
    return this.#rest(elf.DT_VERDEF, "DT_VERDEF");
  }

  /** The versions that this object defines, including its own name (isBase). */
  get verdefs(): readonly DefinedVersion[] {
    return this.#verdefs();
  }
  readonly #verdefs = once(() => {
    const view = this.verdefView;
    return view ? readVerdefs(this.path, view, this.strings) : [];
  });

  /** The versions that this object needs from others. */
  get verneeds(): readonly NeededVersion[] {
    return this.#verneeds();
  }
  readonly #verneeds = once(() => {
    const view = this.#rest(elf.DT_VERNEED, "DT_VERNEED");
    return view ? readVerneeds(this.path, view, this.strings) : [];
  });

  /** DT_RELA. Its first `relativeCount` entries are RELATIVE. */
  get rela(): RelaTable {
    return new RelaTable(this.#table(elf.DT_RELA, elf.DT_RELASZ, Rela.size, "DT_RELA"));
  }

  /** DT_RELA without the RELATIVE entries, which refer to no symbol, and of which a large program has a million. */
  get symbolicRela(): RelaTable {
    const size = this.dynamic.get(elf.DT_RELASZ) ?? 0;
    const from = Math.min(size, this.relativeCount * Rela.size);
    return new RelaTable(this.#table(elf.DT_RELA, elf.DT_RELASZ, Rela.size, "DT_RELA", from));
  }

  get relativeCount(): number {
    return this.dynamic.get(elf.DT_RELACOUNT) ?? 0;
  }

  /** DT_JMPREL: the procedure linkage table's relocations. */
  get jmprel(): RelaTable {
    return new RelaTable(this.#table(elf.DT_JMPREL, elf.DT_PLTRELSZ, Rela.size, "DT_JMPREL"));
  }

  /** The entries of DT_RELA or DT_JMPREL in pieces: the largest tables have 100 MB, and need not be in memory at once. */
  *relocations(structure: "DT_RELA" | "DT_JMPREL"): Generator<RelaTable> {
    const isJumps = structure === "DT_JMPREL";
    const at = this.#pointer(isJumps ? elf.DT_JMPREL : elf.DT_RELA);
    if (at === undefined) return;
    const size = alignUp(this.dynamic.get(isJumps ? elf.DT_PLTRELSZ : elf.DT_RELASZ) ?? 0, Rela.size);
    for (let from = 0; from < size; from += RELA_PIECE)
      yield new RelaTable(this.bytes.view(add(at, from), Math.min(RELA_PIECE, size - from), structure));
  }

  /** DT_RELR: the slots of packed relative relocations. */
  get relr(): Generator<Vaddr> {
    return relrSlots(this.#table(elf.DT_RELR, elf.DT_RELRSZ, 8, "DT_RELR"));
  }

  /** The index of an exported symbol, as dlsym finds it: the default version (`f@@V2`, or `f` if unversioned). */
  find(name: string | Uint8Array): number | undefined {
    return indexIn(findSymbol(this, wantedSymbol(name), "dlsym"));
  }

  /**
   * The index of an exported symbol, as ld.so finds it for another object's reference: the very version, or an
   * unversioned symbol. A reference without a version gets the oldest one if that is the library's first.
   */
  findReferenced(name: string | Uint8Array, version: string | undefined): number | undefined {
    return indexIn(findSymbol(this, wantedSymbol(name, version), "call"));
  }

  /** The indexes of an exported symbol in all its versions. */
  findAll(name: string | Uint8Array): number[] {
    const { symbols } = this;
    return candidatesIn(this, wantedSymbol(name)).filter(
      (symbol) => symbols.section(symbol) !== elf.SHN_UNDEF && symbols.binding(symbol) !== elf.STB_LOCAL,
    );
  }

  /** The name of a symbol's version, or of the one it needs if it is undefined; undefined if there is none. */
  versionOf(symbol: number): string | undefined {
    const index = this.versym?.at(symbol);
    if (index === undefined || index <= elf.VER_NDX_GLOBAL) return undefined;
    return this.#versionNames().get(index);
  }
  // A program that has a library's object by COPY relocation exports it with the version that it needs from the library.
  readonly #versionNames = once(() => {
    const versions = [...this.verneeds, ...this.verdefs.filter(({ isBase }) => !isBase)];
    return new Map(versions.map(({ index, name }) => [index, name]));
  });

  #symbolCount(at: Vaddr): number {
    const { gnuHash, sysvHash } = this;
    if (gnuHash && !gnuHash.isEmpty) return Math.max(gnuHash.symbolCount, sysvHash?.declaredCount ?? 0);
    // No symbol can be found by name, so only relocations refer to symbols.
    let count = Math.max(1, sysvHash?.symbolCount ?? 0);
    const hint = gnuHash?.symbolCount ?? 0;
    if (hint * Sym.size <= this.bytes.room(at)) count = Math.max(count, hint);
    if (!sysvHash)
      for (const table of [this.rela, this.jmprel]) for (const { r_sym } of table) count = Math.max(count, r_sym + 1);
    return count;
  }

  /** Reads up to DT_NULL, as a loader does, whatever size the header gives. */
  #readDynamic(size: number): Dynamic {
    const { bytes, dynamicAt: at } = this;
    const room = bytes.room(at);
    const dynamic = new Dynamic(bytes.view(at, room > 0 ? Math.min(size, room) : size, "dynamic section"));
    if (dynamic.isEnded) return dynamic;
    const whole = new Dynamic(bytes.view(at, room, "dynamic section"));
    if (!whole.isEnded) throw new ElfError(this.path, "dynamic section", "it has no end (DT_NULL) in its segment");
    return whole;
  }

  /**
   * A table that does not give its length, up to the next one at most: the segments around them reach 100 MB (libLLVM),
   * and are read or, from another process, copied.
   */
  #rest(tag: number, structure: string): DataView | undefined {
    const at = this.#pointer(tag);
    if (at === undefined) return undefined;
    let end = toVaddr(Number.POSITIVE_INFINITY);
    for (const other of TABLES) {
      const table = this.#pointer(other);
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

  /** A table from `from` bytes on. A loader continues until it reaches the size, so a partial last entry counts. */
  #table(tag: number, sizeTag: number, entry: number, structure: string, from = 0): DataView {
    const at = this.#pointer(tag);
    const size = this.dynamic.get(sizeTag) ?? 0;
    if (at === undefined || size <= from) return new DataView(new ArrayBuffer(0));
    return this.bytes.view(add(at, from), alignUp(size, entry) - from, structure);
  }
}

/** Entries of the dynamic section that are strings. */
const NAMES = new Set([elf.DT_NEEDED, elf.DT_SONAME, elf.DT_RPATH, elf.DT_RUNPATH, elf.DT_AUXILIARY, elf.DT_FILTER]);

/** The highest string offset below `room` that a symbol, a version or the dynamic section refers to. */
function lastString({ path, dynamic, symbols, verdefView, verneeds }: Image, room: number): number {
  let last = 0;
  const look = (offset: number): void => {
    if (offset > last && offset < room) last = offset;
  };
  const words = wordsOf(symbols.view);
  // Hot: libLLVM has 60,000 symbols.
  for (let at = 0; at < words.length; at += Sym.size / 4) {
    const name = words[at] as number;
    if (name > last && name < room) last = name;
  }
  for (const { tag, value } of dynamic.entries) if (NAMES.has(tag)) look(value);
  for (const { nameOffset } of verneeds) look(nameOffset);
  if (verdefView) for (const { nameOffset } of definitions(path, verdefView)) look(nameOffset);
  return last;
}

/** A function that makes a value at its first call, and returns the same one from then on. */
function once<Value>(make: () => Value): () => Value {
  let made: { readonly value: Value } | undefined;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}

const indexIn = (answer: Answer): number | undefined => (typeof answer === "number" ? answer : undefined);
