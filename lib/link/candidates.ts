// Which symbols of an object have a name, by its hash table, and whether one of them is
// what a reference wants (glibc 2.36, elf/dl-lookup.c, check_match): it must be
// defined, be code or data, and have the version.
//
// A reference with a version takes that version, or a symbol without any, unless
// hidden; an object without any versions has them all (ld.so ends with an assertion if
// it was that one which was to have it). A reference without a version takes what has
// none, or the base version, which was the library's first; failing that, the default
// version, if there is but one.

import {
  SHN_ABS,
  SHN_UNDEF,
  STB_GLOBAL,
  STB_GNU_UNIQUE,
  STB_WEAK,
  STT_COMMON,
  STT_FUNC,
  STT_GNU_IFUNC,
  STT_NOTYPE,
  STT_OBJECT,
  STT_TLS,
  STV_HIDDEN,
  STV_INTERNAL,
  VERSYM_HIDDEN,
} from "../elf/constants.ts";
import type { GnuTable, SymbolTables } from "./symbol-tables.ts";

/** What a relocation is for decides which symbols count (elf_machine_type_class). */
export type Purpose = "data" | "call" | "copy";

/** What is wanted: the name lies in some string table. */
export interface Wanted {
  readonly strings: Uint8Array;
  readonly at: number;
  readonly length: number;
  readonly gnuHash: number;
  readonly sysvHash: number;
  readonly version: string | undefined;
}

/** What an object has to say to a reference: the index of a symbol, or why it has none. */
export type Answer = number | Refusal;
type Refusal = "no such name" | "undefined" | "no code or data" | "another version" | "hidden" | "local";

const KINDS =
  (1 << STT_NOTYPE) | (1 << STT_OBJECT) | (1 << STT_FUNC) | (1 << STT_COMMON) | (1 << STT_TLS) | (1 << STT_GNU_IFUNC);
const INDEX = 0xffff & ~VERSYM_HIDDEN;
/** Version indexes from here on are not the base version's. */
const FIRST_NEWER = 3;

/** Hot: most objects do not have most names, and say so by their bloom filter. */
export function answerOf(tables: SymbolTables, wanted: Wanted, purpose: Purpose): Answer {
  const { gnu, sysv } = tables;
  if (gnu && mayHave(gnu, wanted.gnuHash)) {
    const choice = new Choice(tables, wanted, purpose);
    let symbol = gnu.buckets[wanted.gnuHash % gnu.buckets.length] as number;
    while (symbol !== 0) {
      const hash = gnu.chain[symbol - gnu.symOffset] as number;
      if ((hash ^ wanted.gnuHash) >>> 1 === 0 && choice.takes(symbol)) return choice.answer(symbol);
      symbol = hash & 1 ? 0 : symbol + 1;
    }
    return choice.last();
  }
  if (sysv) {
    const choice = new Choice(tables, wanted, purpose);
    let symbol = sysv.buckets[wanted.sysvHash % sysv.buckets.length] as number;
    while (symbol !== 0) {
      if (choice.takes(symbol)) return choice.answer(symbol);
      symbol = sysv.chain[symbol] as number;
    }
    return choice.last();
  }
  return "no such name";
}

/** A shift goes by the lower five bits of its count, so the sixth says which half of a 64-bit word. */
function mayHave({ bloom, bloomMask, bloomShift }: GnuTable, hash: number): boolean {
  const word = 2 * ((hash >>> 6) & bloomMask);
  const other = hash >>> bloomShift;
  const first = (bloom[word + ((hash >>> 5) & 1)] as number) >>> (hash & 31);
  const second = (bloom[word + ((other >>> 5) & 1)] as number) >>> (other & 31);
  return (first & second & 1) !== 0;
}

/** Looks at the symbols of one name in one object. */
class Choice {
  #refusal: Refusal = "no such name";
  /** Default versions of the symbol, when none is wanted. */
  #newer = 0;
  #newest = 0;

  constructor(
    readonly tables: SymbolTables,
    readonly wanted: Wanted,
    readonly purpose: Purpose,
  ) {}

  takes(symbol: number): boolean {
    if (!this.#hasName(symbol)) return false;
    const refusal = this.#refusalOf(symbol);
    if (refusal === undefined) return true;
    this.#refusal = refusal;
    return false;
  }

  /** What is found and may not be seen ends the search in this object. */
  answer(symbol: number): Answer {
    const { tables } = this;
    const visibility = tables.visibility(symbol);
    if (visibility === STV_HIDDEN || visibility === STV_INTERNAL) return "hidden";
    return BINDINGS.has(tables.binding(symbol)) ? symbol : "local";
  }

  /** When none has been taken. */
  last(): Answer {
    return this.#newer === 1 ? this.answer(this.#newest) : this.#refusal;
  }

  #refusalOf(symbol: number): Refusal | undefined {
    const { tables, wanted, purpose } = this;
    const section = tables.section(symbol);
    const type = tables.type(symbol);
    if (!tables.hasValue(symbol) && section !== SHN_ABS && type !== STT_TLS) return "undefined";
    // A program at a fixed address has entries of its own for functions of others: undefined, with a value. They are
    // the functions' addresses for everybody, but nobody calls by them.
    if (purpose === "call" && section === SHN_UNDEF) return "undefined";
    if (((KINDS >>> type) & 1) === 0) return "no code or data";
    if (!tables.versym) return undefined;
    const index = tables.versym[symbol] as number;
    const isHidden = (index & VERSYM_HIDDEN) !== 0;
    if (wanted.version !== undefined) {
      const version = tables.versions[index & INDEX];
      const isRight = version === undefined ? !isHidden : version === wanted.version;
      return isRight ? undefined : "another version";
    }
    if ((index & INDEX) < FIRST_NEWER) return undefined;
    if (!isHidden) {
      this.#newer++;
      if (this.#newer === 1) this.#newest = symbol;
    }
    return "another version";
  }

  #hasName(symbol: number): boolean {
    const { strings, at, length } = this.wanted;
    const own = this.tables.strings;
    let place = this.tables.nameAt(symbol);
    if (own[place + length] !== 0) return false;
    for (let i = 0; i < length; i++, place++) if (own[place] !== strings[at + i]) return false;
    return true;
  }
}

const BINDINGS = new Set([STB_GLOBAL, STB_WEAK, STB_GNU_UNIQUE]);
