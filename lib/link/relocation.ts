// One relocation that has been applied, for observers. Names and the search path are computed on demand.

import type { Answer } from "../elf/find-symbol.ts";
import { nameOf, RELOCATION_TYPES } from "../elf/names.ts";
import type { Address, Vaddr } from "../memory/numbers.ts";
import { type Definition, isBoundLocally, type Lookup, purposeOf, type Scope, type Witness } from "./lookup.ts";
import type { LinkObject } from "./objects.ts";
import type { Value } from "./values.ts";

export type Table = "DT_RELR" | "DT_RELA" | "DT_JMPREL";

/** A relocation as the object's file has it. */
export interface Entry {
  readonly table: Table;
  /** The slot's vaddr. */
  readonly vaddr: Vaddr;
  /** R_X86_64_… */
  readonly type: number;
  /** The symbol's index; 0 if there is none. */
  readonly symbol: number;
  readonly addend: Value;
}

/** The object whose entries these are, and where their symbols are looked up. */
export interface Requester {
  readonly object: LinkObject;
  readonly lookup: Lookup;
  readonly scope: Scope;
}

/** Steps that must wait until code of the linked objects can run. They stay in order: one may need another's result. */
export type StartStep = ResolverCall | LateCopy;

/** A resolver to call before the program begins; its result goes into a slot (STT_GNU_IFUNC). */
interface ResolverCall {
  readonly kind: "call";
  readonly object: LinkObject;
  /** The slot's, in `object`. */
  readonly vaddr: Vaddr;
  readonly slot: Address;
  readonly resolver: Address;
  /** Is added to the result. */
  readonly addend: Value;
}

/** Bytes to copy again, because slots among them were waiting for a call. */
interface LateCopy {
  readonly kind: "copy";
  readonly from: Address;
  readonly to: Address;
  readonly length: number;
}

/** The result of a relocation. */
export interface Effect {
  /** The slot's value now (a TLS descriptor's argument); undefined if nothing was written, or something else was. */
  readonly value?: Value;
  readonly copied?: { readonly from: Address; readonly length: number };
  readonly call?: ResolverCall;
  /** Set if `copied` has to be repeated. */
  readonly late?: LateCopy;
}

export const NOTHING: Effect = {};

export class Relocation {
  constructor(
    readonly requester: Requester,
    readonly entry: Entry,
    /** The symbol's definition; undefined if no object defines it, or if there is no symbol. */
    readonly definition: Definition | undefined,
    readonly effect: Effect,
  ) {}

  get object(): LinkObject {
    return this.requester.object;
  }
  get table(): Table {
    return this.entry.table;
  }
  get vaddr(): Vaddr {
    return this.entry.vaddr;
  }
  get type(): number {
    return this.entry.type;
  }
  get symbol(): number {
    return this.entry.symbol;
  }
  get addend(): Value {
    return this.entry.addend;
  }
  get value(): Value | undefined {
    return this.effect.value;
  }

  /** "R_X86_64_GLOB_DAT" */
  get typeName(): string {
    return nameOf(RELOCATION_TYPES, this.type);
  }

  get name(): string | undefined {
    const { symbols } = this.object.image;
    return this.symbol === 0 ? undefined : symbols.nameOf(symbols.at(this.symbol));
  }

  /** The version that it requires. */
  get version(): string | undefined {
    return this.symbol === 0 ? undefined : this.object.image.versionOf(this.symbol);
  }

  /** Was its symbol looked up? Local and hidden ones are not. */
  get isSearched(): boolean {
    return this.symbol !== 0 && !isBoundLocally(this.object, this.symbol);
  }

  /**
   * The objects asked for the symbol, in order, each with its answer: the index of a symbol there, or why it has none.
   */
  get searched(): { readonly object: LinkObject; readonly answer: Answer }[] {
    const asked: { object: LinkObject; answer: Answer }[] = [];
    if (!this.isSearched) return asked;
    const { object, lookup, scope } = this.requester;
    const hear: Witness = (definer, answer) => asked.push({ object: definer, answer });
    lookup.find(object, this.symbol, scope, purposeOf(this.type), hear);
    return asked;
  }
}
