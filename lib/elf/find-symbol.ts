// Finds the symbol of a name through an object's hash table, as ld.so does (glibc 2.36, elf/dl-lookup.c, check_match): it
// must be defined, be code or data, be visible, and have the version.
//
// A reference with a version accepts that version, or an unversioned symbol unless it is hidden. An object without any
// versions satisfies every version (ld.so fails an assertion if that object was the one that should define it). A
// reference without a version accepts an unversioned symbol, hidden or not, or the library's first version; failing that,
// the default version, if there is exactly one. So does dlsym, except that the library's first version is like any other.

import * as elf from "./constants.ts";
import { type GnuHash, gnuHash } from "./gnu-hash.ts";
import type { SymbolTable } from "./sym.ts";
import { type SysvHash, sysvHash } from "./sysv-hash.ts";
import type { Versym } from "./versions.ts";

/** What a lookup reads of an image. */
interface Searched {
  readonly gnuHash: GnuHash | undefined;
  readonly sysvHash: SysvHash | undefined;
  readonly symbols: SymbolTable;
  readonly versym: Versym | undefined;
  versionOf(symbol: number): string | undefined;
}

/** The purpose of a relocation decides which symbols count (elf_machine_type_class). */
export type Purpose = "data" | "call" | "copy";

export interface Wanted {
  readonly name: Uint8Array;
  readonly gnuHash: number;
  readonly version: string | undefined;
}

const encoder = new TextEncoder();

export function wantedSymbol(name: string | Uint8Array, version?: string): Wanted {
  const bytes = typeof name === "string" ? encoder.encode(name) : name;
  return { name: bytes, gnuHash: gnuHash(bytes), version };
}

/** An object's answer: the index of a symbol, or why it has none. */
export type Answer = number | Refusal;
type Refusal = "no such name" | "undefined" | "no code or data" | "another version" | "hidden" | "local";

const KINDS =
  (1 << elf.STT_NOTYPE) |
  (1 << elf.STT_OBJECT) |
  (1 << elf.STT_FUNC) |
  (1 << elf.STT_COMMON) |
  (1 << elf.STT_TLS) |
  (1 << elf.STT_GNU_IFUNC);
const BINDINGS = new Set([elf.STB_GLOBAL, elf.STB_WEAK, elf.STB_GNU_UNIQUE]);

/** The symbols of a name that an object's hash table has, defined or not, in its order. Throws ElfError. */
export function candidatesIn(image: Searched, { name, gnuHash }: Wanted): readonly number[] {
  // ld.so prefers DT_GNU_HASH if both exist.
  const candidates = image.gnuHash?.candidates(gnuHash) ?? image.sysvHash?.candidates(sysvHash(name)) ?? [];
  return candidates.length === 0 ? candidates : candidates.filter((symbol) => image.symbols.hasName(symbol, name));
}

/** dlsym finds only what the object itself defines, as calls do. Throws ElfError. */
export function findSymbol(image: Searched, wanted: Wanted, purpose: Purpose | "dlsym"): Answer {
  let refusal: Refusal = "no such name";
  const defaults: number[] = [];
  for (const symbol of candidatesIn(image, wanted)) {
    const reason = kindRefused(image, symbol, purpose) ?? versionRefused(image, symbol, wanted.version, purpose);
    if (reason === undefined) return ifVisible(image, symbol);
    refusal = reason;
    if (reason === "another version" && wanted.version === undefined && !image.versym?.isHidden(symbol))
      defaults.push(symbol);
  }
  const [only, ...more] = defaults;
  return only === undefined || more.length > 0 ? refusal : ifVisible(image, only);
}

function kindRefused({ symbols }: Searched, symbol: number, purpose: Purpose | "dlsym"): Refusal | undefined {
  const section = symbols.section(symbol);
  const type = symbols.type(symbol);
  if (!symbols.hasValue(symbol) && section !== elf.SHN_ABS && type !== elf.STT_TLS) return "undefined";
  // A fixed-address program has its own PLT entries for functions of other objects: undefined, with a value. They are
  // the functions' addresses for every object, but calls do not go through them.
  if ((purpose === "call" || purpose === "dlsym") && section === elf.SHN_UNDEF) return "undefined";
  return ((KINDS >>> type) & 1) === 0 ? "no code or data" : undefined;
}

function versionRefused(
  image: Searched,
  symbol: number,
  wanted: string | undefined,
  purpose: Purpose | "dlsym",
): Refusal | undefined {
  const { versym } = image;
  if (!versym) return undefined;
  if (wanted === undefined) {
    const base = purpose === "dlsym" ? elf.VER_NDX_GLOBAL : elf.VER_NDX_GLOBAL + 1;
    return versym.at(symbol) <= base ? undefined : "another version";
  }
  const version = image.versionOf(symbol);
  const isRight = version === undefined ? !versym.isHidden(symbol) : version === wanted;
  return isRight ? undefined : "another version";
}

/** A match that is not visible ends the search in this object. */
function ifVisible({ symbols }: Searched, symbol: number): Answer {
  const visibility = symbols.visibility(symbol);
  if (visibility === elf.STV_HIDDEN || visibility === elf.STV_INTERNAL) return "hidden";
  return BINDINGS.has(symbols.binding(symbol)) ? symbol : "local";
}
