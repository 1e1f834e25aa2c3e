// What each type of relocation does to its slot (x86-64 psABI, "Relocation Types"). S is
// the address that a symbol is bound to, Z its size, A the addend, P the slot's own
// address, B the load bias. A weak symbol that nobody defines is at address 0.
//
// A slot for a function that is to be chosen (STT_GNU_IFUNC, IRELATIVE) waits for the
// call that chooses it: that is code of what is being linked, which cannot run yet.

import {
  R_X86_64_32,
  R_X86_64_32S,
  R_X86_64_64,
  R_X86_64_COPY,
  R_X86_64_DTPMOD64,
  R_X86_64_DTPOFF64,
  R_X86_64_GLOB_DAT,
  R_X86_64_IRELATIVE,
  R_X86_64_JUMP_SLOT,
  R_X86_64_PC32,
  R_X86_64_PC64,
  R_X86_64_RELATIVE64,
  R_X86_64_SIZE32,
  R_X86_64_SIZE64,
  R_X86_64_TLSDESC,
  R_X86_64_TPOFF64,
  SHN_ABS,
  SHN_UNDEF,
  STT_GNU_IFUNC,
  STT_SECTION,
  STT_TLS,
} from "../elf/constants.ts";
import type { LinkError } from "../loader/error.ts";
import { add, hex, toAddress, type Vaddr } from "../memory/numbers.ts";
import type { Definition } from "./lookup.ts";
import type { TlsBlock } from "./objects.ts";
import type { Relocating } from "./relocate.ts";
import { type Effect, NOTHING } from "./relocation.ts";
import type { Slots } from "./slots.ts";
import { minus, plus, type Value } from "./values.ts";

type Fault = (type: number, vaddr: Vaddr, text: string) => LinkError;

/** In bytes; everything that is not here takes 8. */
const SIZES: ReadonlyMap<number, number> = new Map([
  [R_X86_64_PC32, 4],
  [R_X86_64_32, 4],
  [R_X86_64_32S, 4],
  [R_X86_64_SIZE32, 4],
  [R_X86_64_TLSDESC, 16],
]);

/** In bytes; a file can claim any. */
const LARGEST_COPY = 2 ** 30;

const UNSIGNED = [0, 2 ** 32 - 1] as const;
const SIGNED = [-(2 ** 31), 2 ** 31 - 1] as const;

export class Effects {
  constructor(
    readonly slots: Slots,
    readonly relocating: Pick<Relocating, "space" | "descriptors" | "listener">,
    readonly fault: Fault,
  ) {}

  /** How many bytes a relocation writes to, in its smallest case: a COPY has the size of its symbol. */
  sizeOf(type: number): number {
    return type === R_X86_64_COPY ? 0 : (SIZES.get(type) ?? 8);
  }

  /** Does it. Throws LinkError. */
  of(type: number, vaddr: Vaddr, symbol: number, addend: Value, definition: Definition | undefined): Effect {
    const { object } = this.slots;
    switch (type) {
      case R_X86_64_RELATIVE64:
        return this.#word(vaddr, plus(object.loadBias, addend));
      case R_X86_64_IRELATIVE:
        return this.#call(vaddr, plus(object.loadBias, addend), 0);
      case R_X86_64_64:
        return this.#address(type, vaddr, addend, definition);
      case R_X86_64_GLOB_DAT:
      case R_X86_64_JUMP_SLOT:
        return this.#address(type, vaddr, 0, definition);
      case R_X86_64_32:
        return this.#half(type, vaddr, plus(this.#symbol(type, vaddr, definition), addend), UNSIGNED);
      case R_X86_64_32S:
        return this.#half(type, vaddr, plus(this.#symbol(type, vaddr, definition), addend), SIGNED);
      case R_X86_64_PC32:
        return this.#half(type, vaddr, this.#relative(type, vaddr, addend, definition), SIGNED);
      case R_X86_64_PC64:
        return this.#word(vaddr, this.#relative(type, vaddr, addend, definition));
      case R_X86_64_SIZE32:
        return this.#half(type, vaddr, plus(sizeOf(definition), addend), UNSIGNED);
      case R_X86_64_SIZE64:
        return this.#word(vaddr, plus(sizeOf(definition), addend));
      case R_X86_64_COPY:
        return this.#copy(type, vaddr, symbol, definition);
      case R_X86_64_DTPMOD64:
        return definition ? this.#word(vaddr, this.#tls(type, vaddr, definition).module) : NOTHING;
      case R_X86_64_DTPOFF64:
        if (!definition) return NOTHING;
        this.#tls(type, vaddr, definition);
        return this.#word(vaddr, plus(inBlock(definition), addend));
      case R_X86_64_TPOFF64:
        return definition ? this.#word(vaddr, this.#threadOffset(type, vaddr, addend, definition)) : NOTHING;
      case R_X86_64_TLSDESC:
        return this.#descriptor(type, vaddr, addend, definition);
      default:
        throw this.fault(type, vaddr, `has type ${type}, which no loader of x86-64 programs knows`);
    }
  }

  #word(vaddr: Vaddr, value: Value): Effect {
    this.slots.write64(vaddr, value);
    return { value };
  }

  #half(type: number, vaddr: Vaddr, value: Value, [least, most]: readonly [number, number]): Effect {
    if (value < least || value > most) throw this.fault(type, vaddr, `overflows: ${show(value)} does not fit 32 bits`);
    this.slots.write32(vaddr, Number(value));
    return { value };
  }

  /** S + A of a data or function symbol, or the call that chooses it. */
  #address(type: number, vaddr: Vaddr, addend: Value, definition: Definition | undefined): Effect {
    if (!definition) return this.#word(vaddr, addend);
    const { object, symbol } = definition;
    if (object.tables.type(symbol) === STT_GNU_IFUNC && object.tables.section(symbol) !== SHN_UNDEF)
      return this.#call(vaddr, addressOf(definition), addend);
    return this.#word(vaddr, plus(this.#symbol(type, vaddr, definition), addend));
  }

  /** S + A - P */
  #relative(type: number, vaddr: Vaddr, addend: Value, definition: Definition | undefined): Value {
    const place = add(this.slots.object.loadBias, vaddr);
    return minus(plus(this.#symbol(type, vaddr, definition), addend), place);
  }

  /** S */
  #symbol(type: number, vaddr: Vaddr, definition: Definition | undefined): Value {
    if (!definition) return 0;
    const kind = definition.object.tables.type(definition.symbol);
    if (kind === STT_TLS)
      throw this.fault(type, vaddr, `wants an address, and ${described(definition)} is thread-local`);
    if (
      kind === STT_GNU_IFUNC &&
      definition.object.tables.section(definition.symbol) !== SHN_UNDEF &&
      type !== R_X86_64_64
    )
      throw this.fault(
        type,
        vaddr,
        `has no room for the address of ${described(definition)}, which is chosen by a call`,
      );
    return addressOf(definition);
  }

  #call(vaddr: Vaddr, resolver: Value, addend: Value): Effect {
    const { object } = this.slots;
    const slot = add(object.loadBias, vaddr);
    return { call: { object, vaddr, slot, resolver: toAddress(Number(resolver)), addend } };
  }

  #copy(type: number, vaddr: Vaddr, symbol: number, definition: Definition | undefined): Effect {
    if (!definition) return NOTHING;
    const { object } = this.slots;
    const from = toAddress(Number(this.#symbol(type, vaddr, definition)));
    const [room, size] = [Number(object.tables.size(symbol)), Number(definition.object.tables.size(definition.symbol))];
    const length = Math.min(room, size);
    if (room !== size)
      this.relocating.listener.onWarning?.(
        `${described({ object, symbol })} has ${room} bytes and is a copy of one of ${size} in "${definition.object.path}"; link the program again`,
      );
    const fault =
      length > LARGEST_COPY ? `copies ${length} bytes, which is no variable` : this.slots.faultOf(vaddr, length);
    if (fault !== undefined) throw this.fault(type, vaddr, fault);
    if (!(from >= definition.object.start && from + length <= definition.object.end))
      throw this.fault(
        type,
        vaddr,
        `copies ${length} bytes at ${hex(from)}, which "${definition.object.path}" does not have`,
      );
    if (length > 0) this.slots.write(vaddr, this.relocating.space.read(from, length));
    return { copied: { from, length } };
  }

  #tls(type: number, vaddr: Vaddr, { object, symbol }: Definition): TlsBlock {
    const kind = object.tables.type(symbol);
    if (symbol !== 0 && kind !== STT_TLS && kind !== STT_SECTION)
      throw this.fault(
        type,
        vaddr,
        `wants thread-local data, and ${described({ object, symbol })} is not thread-local`,
      );
    if (!object.tls) throw this.fault(type, vaddr, `wants thread-local data of "${object.path}", which has no PT_TLS`);
    return object.tls;
  }

  #threadOffset(type: number, vaddr: Vaddr, addend: Value, definition: Definition): Value {
    const { offset } = this.#tls(type, vaddr, definition);
    return plus(minus(inBlock(definition), offset), addend);
  }

  /** A function, and its argument in the word behind. */
  #descriptor(type: number, vaddr: Vaddr, addend: Value, definition: Definition | undefined): Effect {
    const { descriptors } = this.relocating;
    const argument = definition ? this.#threadOffset(type, vaddr, addend, definition) : addend;
    if (descriptors) this.slots.write64(vaddr, definition ? descriptors.static : descriptors.undefined);
    return this.#word(add(vaddr, 8), argument);
  }
}

/** SHN_ABS says an address, everything else a vaddr. */
function addressOf({ object, symbol }: Definition): Value {
  const value = object.tables.value(symbol);
  return object.tables.section(symbol) === SHN_ABS ? value : plus(object.loadBias, value);
}

const sizeOf = (definition: Definition | undefined): Value =>
  definition ? definition.object.tables.size(definition.symbol) : 0;

/** Where a thread-local variable is in its block. */
const inBlock = ({ object, symbol }: Definition): Value => object.tables.value(symbol);

function described({ object, symbol }: Definition): string {
  const { symbols } = object.image;
  return `"${symbols.nameOf(symbols.at(symbol))}" of "${object.path}"`;
}

const show = (value: Value): string => (value < 0 ? `-${hex(-value)}` : hex(value));
