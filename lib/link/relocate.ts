// Relocates an object: goes through DT_RELR, DT_RELA and DT_JMPREL, in ld.so's order,
// finds what their symbols are bound to and has each of them done (effects.ts).
//
// Hot: libLLVM has 380,000 relocations, so tables are read as words, a symbol is looked
// up once for all relocations that want it, and relative ones, which are most of them, take
// the shortest way.

import { DT_JMPREL, DT_RELA, R_X86_64_NONE, R_X86_64_RELATIVE } from "../elf/constants.ts";
import { nameOf, RELOCATION_TYPES } from "../elf/names.ts";
import { Rela } from "../elf/rela.ts";
import { wordsOf } from "../elf/words.ts";
import { LinkError } from "../loader/error.ts";
import { type Address, hex, toVaddr, type Vaddr } from "../memory/numbers.ts";
import { Effects } from "./effects.ts";
import { type Definition, isBoundLocally, isWeak, type Lookup, purposeOf } from "./lookup.ts";
import type { LinkObject } from "./objects.ts";
import { type Effect, NOTHING, Relocation, type ResolverCall, type Table } from "./relocation.ts";
import { type Scope, scopeOf } from "./scope.ts";
import { Slots } from "./slots.ts";
import type { AddressSpace } from "./space.ts";
import { unresolved } from "./unresolved.ts";
import { fromWords, plus, type Value } from "./values.ts";

/** Who wants to know what is done. Nothing is made for those who do not. */
export interface Listener {
  readonly onRelocation?: (relocation: Relocation) => void;
  /** Takes the place of the error: the symbol counts as weak. */
  readonly onUnresolved?: (fault: LinkError) => void;
  readonly onWarning?: (text: string) => void;
}

/** Functions that thread-local descriptors call: see the psABI's "TLS Descriptors". */
export interface TlsDescriptors {
  /** Returns its descriptor's argument: the distance from the thread pointer. */
  readonly static: Address;
  /** As `static`, of a weak symbol that nobody defines: what leads to address 0 plus the argument. */
  readonly undefined: Address;
}

/** What relocating has to go by. */
export interface Relocating {
  readonly space: AddressSpace;
  readonly objects: readonly LinkObject[];
  readonly lookup: Lookup;
  readonly descriptors?: TlsDescriptors | undefined;
  readonly listener: Listener;
}

/**
 * Returns what has to be called afterwards, in order. Throws LinkError for a symbol that nobody defines, a relocation that is not
 * within a writable segment of its object, one of an unknown type, and one whose value does not fit its slot.
 */
export function relocate(relocating: Relocating, object: LinkObject): ResolverCall[] {
  const pass = new Pass(relocating, object);
  const { relr, rela, jmprel, dynamic } = object.image;
  pass.doPacked(relr);
  pass.doTable("DT_RELA", rela.view);
  // Some linkers count the last ones among the others.
  const behind = (dynamic.get(DT_JMPREL) ?? 0) - (dynamic.get(DT_RELA) ?? 0);
  if (!(behind >= 0 && behind < rela.view.byteLength)) pass.doTable("DT_JMPREL", jmprel.view);
  return pass.calls;
}

const RELA_WORDS = Rela.size / 4;

class Pass {
  readonly calls: ResolverCall[] = [];
  readonly #scope: Scope;
  readonly #slots: Slots;
  readonly #effects: Effects;
  readonly #bound = {
    data: new Map<number, Definition | undefined>(),
    call: new Map<number, Definition | undefined>(),
  };

  constructor(
    readonly relocating: Relocating,
    readonly object: LinkObject,
  ) {
    this.#scope = scopeOf(object, relocating.objects);
    this.#slots = new Slots(relocating.space, object);
    this.#effects = new Effects(this.#slots, relocating, (type, vaddr, text) => this.#fault(type, vaddr, text));
  }

  /** The slots have the addends. */
  doPacked(slots: Iterable<Vaddr>): void {
    const { loadBias } = this.object;
    const { onRelocation } = this.relocating.listener;
    for (const vaddr of slots) {
      this.#check(R_X86_64_RELATIVE, vaddr, 8);
      const addend = this.#slots.read64(vaddr);
      const value = plus(loadBias, addend);
      this.#slots.write64(vaddr, value);
      if (onRelocation) this.#tell("DT_RELR", vaddr, R_X86_64_RELATIVE, 0, addend, undefined, { value });
    }
  }

  doTable(table: Table, view: DataView): void {
    const words = wordsOf(view);
    const { loadBias } = this.object;
    const { onRelocation } = this.relocating.listener;
    // r_offset (2) | r_type | r_sym | r_addend (2)
    for (let at = 0; at + RELA_WORDS <= words.length; at += RELA_WORDS) {
      const vaddr = toVaddr((words[at + 1] as number) * 2 ** 32 + (words[at] as number));
      const type = words[at + 2] as number;
      const symbol = words[at + 3] as number;
      const addend = fromWords(words[at + 4] as number, (words[at + 5] as number) | 0);
      if (type === R_X86_64_RELATIVE) {
        this.#check(type, vaddr, 8);
        const value = plus(loadBias, addend);
        this.#slots.write64(vaddr, value);
        if (onRelocation) this.#tell(table, vaddr, type, 0, addend, undefined, { value });
      } else if (type === R_X86_64_NONE) {
        if (onRelocation) this.#tell(table, vaddr, type, symbol, addend, undefined, NOTHING);
      } else {
        this.#check(type, vaddr, this.#effects.sizeOf(type));
        const definition = this.#bind(type, vaddr, symbol);
        const effect = this.#effects.of(type, vaddr, symbol, addend, definition);
        if (effect.call) this.calls.push(effect.call);
        if (onRelocation) this.#tell(table, vaddr, type, symbol, addend, definition, effect);
      }
    }
  }

  /** Undefined for a weak symbol that nobody defines. */
  #bind(type: number, vaddr: Vaddr, symbol: number): Definition | undefined {
    const { object } = this;
    if (symbol >= object.tables.count && symbol !== 0)
      throw this.#fault(type, vaddr, `refers to symbol ${symbol} of ${object.tables.count}`);
    if (symbol === 0 || isBoundLocally(object, symbol)) return { object, symbol };
    const purpose = purposeOf(type);
    const known = purpose === "copy" ? undefined : this.#bound[purpose];
    if (known?.has(symbol)) return known.get(symbol);
    const definition = this.relocating.lookup.find(object, symbol, this.#scope, purpose);
    if (!definition && !isWeak(object, symbol)) this.#miss(type, vaddr, symbol);
    known?.set(symbol, definition);
    return definition;
  }

  #miss(type: number, vaddr: Vaddr, symbol: number): void {
    const { lookup, listener } = this.relocating;
    const fault = unresolved(lookup, this.#scope, this.object, type, vaddr, symbol);
    if (!listener.onUnresolved) throw fault;
    listener.onUnresolved(fault);
  }

  #check(type: number, vaddr: Vaddr, size: number): void {
    const fault = this.#slots.faultOf(vaddr, size);
    if (fault !== undefined) throw this.#fault(type, vaddr, fault);
  }

  #fault(type: number, vaddr: Vaddr, text: string): LinkError {
    const { path } = this.object;
    const message = `Cannot relocate "${path}": ${nameOf(RELOCATION_TYPES, type)} at vaddr ${hex(vaddr)} ${text}`;
    return new LinkError(message, { object: path });
  }

  #tell(
    table: Table,
    vaddr: Vaddr,
    type: number,
    symbol: number,
    addend: Value,
    definition: Definition | undefined,
    effect: Effect,
  ): void {
    const { lookup, listener } = this.relocating;
    const { object } = this;
    listener.onRelocation?.(
      new Relocation(object, table, vaddr, type, symbol, addend, definition, effect, lookup, this.#scope),
    );
  }
}
