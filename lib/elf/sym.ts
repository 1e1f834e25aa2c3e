// Symbols (gABI, "Symbol Table"), in a table that knows its strings.

import { layout, type Struct, u8, u16, u32, u64, wrapping } from "../memory/layout.ts";
import type { Vaddr } from "../memory/numbers.ts";
import { SHN_UNDEF, STB_LOCAL } from "./constants.ts";
import { ElfError } from "./error.ts";
import type { StringTable } from "./strings.ts";
import { wordsOf } from "./words.ts";

export const Sym = layout("Elf64_Sym", {
  st_name: u32,
  st_info: u8,
  st_other: u8,
  st_shndx: u16,
  /** The symbol's address less the load bias, modulo 2^64: it may lie outside the image, and be negative. */
  st_value: wrapping<Vaddr>(),
  st_size: u64(),
});
export type Sym = Struct<typeof Sym>;

export const bindingOf = (sym: Sym): number => sym.st_info >> 4;
export const typeOf = (sym: Sym): number => sym.st_info & 15;
/** Can other objects bind to it? */
export const isExported = (sym: Sym): boolean => sym.st_shndx !== SHN_UNDEF && bindingOf(sym) !== STB_LOCAL;

/** A symbol's size in words: st_name | st_info, st_other, st_shndx | st_value (2) | st_size (2). */
export const SYM_WORDS = Sym.size / 4;

export class SymbolTable implements Iterable<Sym> {
  readonly #words: Uint32Array;
  readonly length: number;

  constructor(
    /** The symbols that the hash tables cover. */
    readonly view: DataView,
    readonly strings: StringTable,
    /** A symbol that they do not cover and a relocation refers to; undefined if there is none. */
    readonly beyond: (index: number) => DataView | undefined = () => undefined,
  ) {
    this.#words = wordsOf(view);
    this.length = Math.floor(view.byteLength / Sym.size);
  }

  /** Throws ElfError for an index beyond the table. */
  at(index: number): Sym {
    if (index < this.length) return Sym.at(this.view, index * Sym.size);
    const view = this.beyond(index);
    if (view) return Sym.at(view);
    throw new ElfError(this.strings.path, "symbol table", `index ${index} is beyond its ${this.length} symbols`);
  }

  nameOf(sym: Sym): string {
    return this.strings.at(sym.st_name);
  }

  // Hot: linking a graphics stack takes half a million lookups. These read symbols that the hash tables cover.

  nameBytes(symbol: number): Uint8Array {
    return this.strings.bytesAt(this.#words[symbol * SYM_WORDS] as number);
  }
  hasName(symbol: number, name: Uint8Array): boolean {
    return this.strings.isAt(this.#words[symbol * SYM_WORDS] as number, name);
  }
  type(symbol: number): number {
    return (this.#words[symbol * SYM_WORDS + 1] as number) & 15;
  }
  binding(symbol: number): number {
    return ((this.#words[symbol * SYM_WORDS + 1] as number) >>> 4) & 15;
  }
  visibility(symbol: number): number {
    return ((this.#words[symbol * SYM_WORDS + 1] as number) >>> 8) & 3;
  }
  section(symbol: number): number {
    return (this.#words[symbol * SYM_WORDS + 1] as number) >>> 16;
  }
  hasValue(symbol: number): boolean {
    const at = symbol * SYM_WORDS + 2;
    return this.#words[at] !== 0 || this.#words[at + 1] !== 0;
  }

  *[Symbol.iterator](): Generator<Sym> {
    for (let i = 0; i < this.length; i++) yield this.at(i);
  }
}
