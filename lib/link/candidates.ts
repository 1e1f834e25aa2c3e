// Finds the symbols of a name through an object's hash table and decides whether one of them satisfies a reference
// (glibc 2.36, elf/dl-lookup.c, check_match): it must be defined, be code or data, and have the version.
//
// A reference with a version accepts that version, or an unversioned symbol unless it is hidden. An object without any
// versions satisfies every version (ld.so fails an assertion if that object was the one that should define it). A
// reference without a version accepts an unversioned symbol or the base version, the library's first; failing that, the
// default version, if there is exactly one.

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

/** The purpose of a relocation decides which symbols count (elf_machine_type_class). */
export type Purpose = "data" | "call" | "copy";

/** The reference's name lies in some string table. */
export interface Wanted {
  readonly strings: Uint8Array;
  readonly at: number;
  readonly length: number;
  readonly gnuHash: number;
  readonly sysvHash: number;
  readonly version: string | undefined;
}

/** An object's answer to a reference: the index of a symbol, or why it has none. */
export type Answer = number | Refusal;
type Refusal = "no such name" | "undefined" | "no code or data" | "another version" | "hidden" | "local";

const KINDS =
  (1 << STT_NOTYPE) | (1 << STT_OBJECT) | (1 << STT_FUNC) | (1 << STT_COMMON) | (1 << STT_TLS) | (1 << STT_GNU_IFUNC);
const INDEX = 0xffff & ~VERSYM_HIDDEN;
/** Lower version indexes count as the base version's. */
const FIRST_NEWER = 3;

/** Hot: most objects lack most names, and the bloom filter says so. */
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

/** JavaScript shifts use the lower five bits of the count, so the sixth selects the half of a 64-bit word. */
function mayHave({ bloom, bloomMask, bloomShift }: GnuTable, hash: number): boolean {
  const word = 2 * ((hash >>> 6) & bloomMask);
  const other = hash >>> bloomShift;
  const first = (bloom[word + ((hash >>> 5) & 1)] as number) >>> (hash & 31);
  const second = (bloom[word + ((other >>> 5) & 1)] as number) >>> (other & 31);
  return (first & second & 1) !== 0;
}

/** Checks the symbols of one name in one object. */
class Choice {
  #refusal: Refusal = "no such name";
  /** Default versions of the symbol, when the reference has no version. */
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

  /** A match that is not visible ends the search in this object. */
  answer(symbol: number): Answer {
    const { tables } = this;
    const visibility = tables.visibility(symbol);
    if (visibility === STV_HIDDEN || visibility === STV_INTERNAL) return "hidden";
    return BINDINGS.has(tables.binding(symbol)) ? symbol : "local";
  }

  /** The answer when no symbol was taken. */
  last(): Answer {
    return this.#newer === 1 ? this.answer(this.#newest) : this.#refusal;
  }

  #refusalOf(symbol: number): Refusal | undefined {
    const { tables, wanted, purpose } = this;
    const section = tables.section(symbol);
    const type = tables.type(symbol);
    if (!tables.hasValue(symbol) && section !== SHN_ABS && type !== STT_TLS) return "undefined";
    // A fixed-address program has its own PLT entries for functions of other objects: undefined, with a value. They are
    // the functions' addresses for every object, but calls do not go through them.
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
