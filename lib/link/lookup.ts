// Which definition a reference is bound to (gABI, "Shared Object Dependencies"; glibc 2.36, elf/dl-lookup.c). The first
// object of the scope that has the symbol decides, weak or not: at run time, a weak definition yields to no other.
// Local and hidden symbols are bound without a search. Protected ones are searched for anyway: a protected function
// binds to itself, but its address may be the program's PLT entry.

import * as elf from "../elf/constants.ts";
import { type Answer, findSymbol, type Purpose, type Wanted, wantedSymbol } from "../elf/find-symbol.ts";
import type { LinkObject } from "./objects.ts";

export interface Definition {
  readonly object: LinkObject;
  /** The index of the symbol in `object`. */
  readonly symbol: number;
}

/** Is told each object that is asked, in order, and its answer. */
export type Witness = (object: LinkObject, answer: Answer) => void;

const CALLS = new Set([
  elf.R_X86_64_JUMP_SLOT,
  elf.R_X86_64_DTPMOD64,
  elf.R_X86_64_DTPOFF64,
  elf.R_X86_64_TPOFF64,
  elf.R_X86_64_TLSDESC,
]);

/** The purpose for which a relocation of this type looks a symbol up. */
export const purposeOf = (type: number): Purpose =>
  type === elf.R_X86_64_COPY ? "copy" : CALLS.has(type) ? "call" : "data";

/** Does a symbol bind to itself, without a search? */
export function isBoundLocally({ image: { symbols } }: LinkObject, symbol: number): boolean {
  const visibility = symbols.visibility(symbol);
  return symbols.binding(symbol) === elf.STB_LOCAL || visibility === elf.STV_HIDDEN || visibility === elf.STV_INTERNAL;
}

export const isWeak = ({ image }: LinkObject, symbol: number): boolean =>
  image.symbols.binding(symbol) === elf.STB_WEAK;

/** Where an object's references are looked up, in order. */
export type Scope = readonly LinkObject[];

/**
 * All objects, breadth first, which is link map order; with DT_SYMBOLIC, the object itself first. ld.so ignores it for
 * the program, which is first anyway (elf/dl-load.c, glibc 2.36).
 */
export function scopeOf(object: LinkObject, objects: Scope): Scope {
  const { dynamic } = object.image;
  const isSymbolic =
    dynamic.get(elf.DT_SYMBOLIC) !== undefined || ((dynamic.get(elf.DT_FLAGS) ?? 0) & elf.DF_SYMBOLIC) !== 0;
  return object.index > 0 && isSymbolic ? [object, ...objects] : objects;
}

/** The lookups of one link. A witness makes a lookup slower, but does not change its result. */
export class Lookup {
  /** Process-wide unique symbols (STB_GNU_UNIQUE): the first one of a name is used by all, whatever the scope. */
  readonly #unique = new Map<string, Definition>();

  /** `symbol` is an index in `requester`, not bound locally. Returns undefined if no object of the scope defines it. */
  find(
    requester: LinkObject,
    symbol: number,
    scope: Scope,
    purpose: Purpose,
    witness?: Witness,
  ): Definition | undefined {
    const { image } = requester;
    const wanted = wantedSymbol(image.symbols.nameBytes(symbol), image.versionOf(symbol));
    const found = this.#search(wanted, scope, purpose, witness);
    if (!found) return undefined;
    const definition = this.#theOnly(found, requester, symbol, wanted, purpose);
    if (image.symbols.visibility(symbol) !== elf.STV_PROTECTED || definition.object === requester) return definition;
    // A protected function's address may be the program's PLT entry, if no other object defines the function.
    const called = purpose === "call" ? definition : this.#search(wanted, scope, "call", undefined);
    return called && called.object !== requester ? { object: requester, symbol } : definition;
  }

  #search(wanted: Wanted, scope: Scope, purpose: Purpose, witness: Witness | undefined): Definition | undefined {
    for (const object of scope) {
      // A COPY relocation's source is never the program itself.
      if (purpose === "copy" && object.index === 0) continue;
      const answer = findSymbol(object.image, wanted, purpose);
      witness?.(object, answer);
      if (typeof answer === "number") return { object, symbol: answer };
    }
    return undefined;
  }

  #theOnly(found: Definition, requester: LinkObject, symbol: number, wanted: Wanted, purpose: Purpose): Definition {
    if (found.object.image.symbols.binding(found.symbol) !== elf.STB_GNU_UNIQUE) return found;
    const { buffer, byteOffset, length } = wanted.name;
    const name = Buffer.from(buffer, byteOffset, length).toString("latin1");
    const known = this.#unique.get(name);
    // From now on the unique symbol is the copy in the program; this lookup returns the source of the copy.
    if (!known) this.#unique.set(name, purpose === "copy" ? { object: requester, symbol } : found);
    return purpose === "copy" ? found : (known ?? found);
  }
}
