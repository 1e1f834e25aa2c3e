// Relocates an object: goes through DT_RELR, DT_RELA and DT_JMPREL in ld.so's order, binds their symbols and applies
// each relocation (effects.ts).
//
// Hot: libLLVM has 380,000 relocations, so tables are read as words, a symbol is looked up once for all its
// relocations, and relative relocations, the majority, take the shortest path.

import { DT_JMPREL, DT_RELA, R_X86_64_NONE, R_X86_64_RELATIVE } from "../elf/constants.ts";
import { Rela } from "../elf/rela.ts";
import { wordsOf } from "../elf/words.ts";
import type { LinkError } from "../link-error.ts";
import { type Address, toVaddr, type Vaddr } from "../memory/numbers.ts";
import { Effects, faultOf, type TlsDescriptors } from "./effects.ts";
import { type Definition, isBoundLocally, isWeak, type Lookup, purposeOf, scopeOf } from "./lookup.ts";
import type { LinkObject } from "./objects.ts";
import {
  type Effect,
  type Entry,
  NOTHING,
  Relocation,
  type Requester,
  type StartStep,
  type Table,
} from "./relocation.ts";
import { Slots } from "./slots.ts";
import type { AddressSpace } from "./space.ts";
import { unresolved } from "./unresolved.ts";
import { fromWords, plus, type Value } from "./values.ts";

/** Observers of relocating. Nothing is created for absent callbacks. */
export interface Listener {
  readonly onRelocation?: (relocation: Relocation) => void;
  /** Called instead of throwing: the symbol then counts as weak. */
  readonly onUnresolved?: (fault: LinkError) => void;
  readonly onWarning?: (text: string) => void;
}

interface Relocating {
  readonly space: AddressSpace;
  readonly objects: readonly LinkObject[];
  readonly lookup: Lookup;
  readonly descriptors?: TlsDescriptors | undefined;
  readonly listener: Listener;
  /** What remains to be done afterwards, in order; each object's steps are appended. */
  readonly steps: StartStep[];
}

/** Does a slot among `length` bytes at `from` wait for a call? */
export const isPending = (steps: readonly StartStep[], from: Address, length: number): boolean =>
  steps.some((step) => step.kind === "call" && step.slot < from + length && step.slot + 8 > from);

/**
 * Throws LinkError for a symbol that no object defines, a relocation outside the object's writable segments, one of an
 * unknown type, and one whose value does not fit its slot.
 */
export function relocate(relocating: Relocating, object: LinkObject): void {
  const pass = new Pass(relocating, object);
  const { relr, rela, jmprel, dynamic } = object.image;
  pass.doPacked(relr);
  pass.doTable("DT_RELA", rela.view);
  // Some linkers include DT_JMPREL's relocations in DT_RELA's size.
  const behind = (dynamic.get(DT_JMPREL) ?? 0) - (dynamic.get(DT_RELA) ?? 0);
  if (!(behind >= 0 && behind < rela.view.byteLength)) pass.doTable("DT_JMPREL", jmprel.view);
}

const RELA_WORDS = Rela.size / 4;

class Pass {
  readonly #steps: StartStep[];
  readonly #requester: Requester;
  readonly #listener: Listener;
  readonly #slots: Slots;
  readonly #effects: Effects;
  readonly #bound = {
    data: new Map<number, Definition | undefined>(),
    call: new Map<number, Definition | undefined>(),
  };

  constructor({ space, objects, lookup, descriptors, listener, steps }: Relocating, object: LinkObject) {
    this.#steps = steps;
    this.#requester = { object, lookup, scope: scopeOf(object, objects) };
    this.#listener = listener;
    this.#slots = new Slots(space, object);
    this.#effects = new Effects(this.#slots, descriptors, listener.onWarning, (from, length) =>
      isPending(steps, from, length),
    );
  }

  /** The slots hold the addends. */
  doPacked(slots: Iterable<Vaddr>): void {
    for (const vaddr of slots) {
      this.#check("DT_RELR", R_X86_64_RELATIVE, vaddr, 8);
      this.#doRelative("DT_RELR", vaddr, this.#slots.read64(vaddr));
    }
  }

  doTable(table: Table, view: DataView): void {
    const words = wordsOf(view);
    // r_offset (2) | r_type | r_sym | r_addend (2)
    for (let at = 0; at + RELA_WORDS <= words.length; at += RELA_WORDS) {
      const vaddr = toVaddr((words[at + 1] as number) * 2 ** 32 + (words[at] as number));
      const type = words[at + 2] as number;
      const addend = fromWords(words[at + 4] as number, (words[at + 5] as number) | 0);
      if (type === R_X86_64_RELATIVE) {
        this.#check(table, type, vaddr, 8);
        this.#doRelative(table, vaddr, addend);
      } else this.#do({ table, vaddr, type, symbol: words[at + 3] as number, addend });
    }
  }

  #doRelative(table: Table, vaddr: Vaddr, addend: Value): void {
    const value = plus(this.#requester.object.loadBias, addend);
    this.#slots.write64(vaddr, value);
    if (this.#listener.onRelocation)
      this.#tell({ table, vaddr, type: R_X86_64_RELATIVE, symbol: 0, addend }, undefined, { value });
  }

  #do(entry: Entry): void {
    const { table, type, vaddr } = entry;
    if (type === R_X86_64_NONE) {
      // Its slot may be anywhere.
      this.#tell(entry, undefined, NOTHING);
      return;
    }
    this.#check(table, type, vaddr, this.#effects.sizeOf(type));
    const definition = this.#bind(entry);
    const effect = this.#effects.of(entry, definition);
    const step = effect.call ?? effect.late;
    if (step) this.#steps.push(step);
    this.#tell(entry, definition, effect);
  }

  /** Undefined for a weak symbol that no object defines. */
  #bind(entry: Entry): Definition | undefined {
    const { object, lookup, scope } = this.#requester;
    const { symbol, type } = entry;
    const { length } = object.image.symbols;
    if (symbol >= length && symbol !== 0) throw faultOf(object, entry, `refers to symbol ${symbol} of ${length}`);
    if (symbol === 0 || isBoundLocally(object, symbol)) return { object, symbol };
    const purpose = purposeOf(type);
    const known = purpose === "copy" ? undefined : this.#bound[purpose];
    if (known?.has(symbol)) return known.get(symbol);
    const definition = lookup.find(object, symbol, scope, purpose);
    if (!definition && !isWeak(object, symbol)) this.#miss(unresolved(this.#requester, entry));
    known?.set(symbol, definition);
    return definition;
  }

  #miss(fault: LinkError): void {
    if (!this.#listener.onUnresolved) throw fault;
    this.#listener.onUnresolved(fault);
  }

  #check(table: Table, type: number, vaddr: Vaddr, size: number): void {
    const fault = this.#slots.faultOf(vaddr, size);
    if (fault === undefined) return;
    throw faultOf(this.#requester.object, { table, vaddr, type, symbol: 0, addend: 0 }, fault);
  }

  #tell(entry: Entry, definition: Definition | undefined, effect: Effect): void {
    this.#listener.onRelocation?.(new Relocation(this.#requester, entry, definition, effect));
  }
}
