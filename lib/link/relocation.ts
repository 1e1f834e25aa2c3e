// One relocation that has been done, for those who want to see it. Names and the way of
// the search are found out when somebody asks.

import { nameOf, RELOCATION_TYPES } from "../elf/names.ts";
import type { Address, Vaddr } from "../memory/numbers.ts";
import type { Answer } from "./candidates.ts";
import { type Definition, isBoundLocally, type Lookup, purposeOf, type Witness } from "./lookup.ts";
import type { LinkObject } from "./objects.ts";
import type { Scope } from "./scope.ts";
import type { Value } from "./values.ts";

export type Table = "DT_RELR" | "DT_RELA" | "DT_JMPREL";

/** What an object's file says. */
export interface Entry {
  readonly table: Table;
  /** Of the slot. */
  readonly vaddr: Vaddr;
  /** R_X86_64_… */
  readonly type: number;
  /** The index of the symbol that it names; 0 where it names none. */
  readonly symbol: number;
  readonly addend: Value;
}

/** Whose entries they are, and where their symbols are looked up. */
export interface Requester {
  readonly object: LinkObject;
  readonly lookup: Lookup;
  readonly scope: Scope;
}

/**
 * What is left until code of what is linked can run. In the order in which it came up: one may need what another has
 * done.
 */
export type StartStep = ResolverCall | LateCopy;

/** A function that has to be called before the program begins, and what it returns goes into a slot (STT_GNU_IFUNC). */
interface ResolverCall {
  readonly kind: "call";
  readonly object: LinkObject;
  /** Of the slot, in `object`. */
  readonly vaddr: Vaddr;
  readonly slot: Address;
  readonly resolver: Address;
  /** Is added to what it returns. */
  readonly addend: Value;
}

/** Bytes that are copied once more, as slots among them have been waiting for a call. */
interface LateCopy {
  readonly kind: "copy";
  readonly from: Address;
  readonly to: Address;
  readonly length: number;
}

/** What came of it. */
export interface Effect {
  /**
   * What is in the slot now: of a thread-local descriptor its argument; undefined where nothing was written, or not
   * that.
   */
  readonly value?: Value;
  readonly copied?: { readonly from: Address; readonly length: number };
  readonly call?: ResolverCall;
  /** Of `copied`, where that is not all yet. */
  readonly late?: LateCopy;
}

export const NOTHING: Effect = {};

export class Relocation {
  constructor(
    readonly requester: Requester,
    readonly entry: Entry,
    /** What the symbol is bound to; undefined where nobody defines it, or where there is none. */
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

  /** The version that it wants. */
  get version(): string | undefined {
    return this.symbol === 0 ? undefined : this.object.tables.versionOf(this.symbol);
  }

  /** Has its symbol been looked up? What is local or hidden is not. */
  get isSearched(): boolean {
    return this.symbol !== 0 && !isBoundLocally(this.object, this.symbol);
  }

  /**
   * The objects that were asked for it, in order, each with its answer: the index of a symbol there, or why it gave
   * none.
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
