// What each type of relocation does to its slot (x86-64 psABI, "Relocation Types"). S is the address that a symbol is
// bound to, Z its size, A the addend, P the slot's own address, B the load bias. An undefined weak symbol has address
// 0.
//
// A slot for an indirect function (STT_GNU_IFUNC, IRELATIVE) waits for its resolver call: the resolver is code of an
// object being linked, which cannot run yet. A copy of such a slot waits too.

import * as elf from "../elf/constants.ts";
import { nameOf, RELOCATION_TYPES } from "../elf/names.ts";
import { Sym } from "../elf/sym.ts";
import { LinkError } from "../link-error.ts";
import { type Address, add, hex, toAddress, type Vaddr } from "../memory/numbers.ts";
import type { Definition } from "./lookup.ts";
import type { LinkObject, TlsBlock } from "./objects.ts";
import { type Effect, type Entry, NOTHING } from "./relocation.ts";
import type { Slots } from "./slots.ts";
import { minus, plus, type Value, value64At } from "./values.ts";

/** Functions that TLS descriptors call: see the psABI's "TLS Descriptors". */
export interface TlsDescriptors {
  /** Returns its descriptor's argument: the offset from the thread pointer. */
  readonly static: Address;
  /** Like `static`, for an undefined weak symbol: the result makes the address 0 plus the argument. */
  readonly undefined: Address;
}

/** In bytes; every type not listed takes 8. */
const SIZES: ReadonlyMap<number, number> = new Map([
  [elf.R_X86_64_PC32, 4],
  [elf.R_X86_64_32, 4],
  [elf.R_X86_64_32S, 4],
  [elf.R_X86_64_SIZE32, 4],
  [elf.R_X86_64_TLSDESC, 16],
]);

/** In bytes; a file can claim any size. */
const LARGEST_COPY = 2 ** 30;
const COPIED_AT_ONCE = 2 ** 16;

const UNSIGNED = [0, 2 ** 32 - 1] as const;
const SIGNED = [-(2 ** 31), 2 ** 31 - 1] as const;

export class Effects {
  constructor(
    readonly slots: Slots,
    readonly descriptors: TlsDescriptors | undefined,
    readonly warn: ((text: string) => void) | undefined,
    /** Does a slot among `length` bytes at `from` wait for a call? */
    readonly isPending: (from: Address, length: number) => boolean,
  ) {}

  /** The least number of bytes that a relocation writes: a COPY has its symbol's size. */
  sizeOf(type: number): number {
    return type === elf.R_X86_64_COPY ? 0 : (SIZES.get(type) ?? 8);
  }

  /** Applies one relocation. Throws LinkError. */
  of(entry: Entry, definition: Definition | undefined): Effect {
    const { vaddr, type, addend } = entry;
    const { loadBias } = this.slots.object;
    switch (type) {
      case elf.R_X86_64_RELATIVE64:
        return this.#word(vaddr, plus(loadBias, addend));
      case elf.R_X86_64_IRELATIVE:
        return this.#call(vaddr, plus(loadBias, addend), 0);
      case elf.R_X86_64_64:
        return this.#address(entry, definition, addend);
      case elf.R_X86_64_GLOB_DAT:
      case elf.R_X86_64_JUMP_SLOT:
        return this.#address(entry, definition, 0);
      case elf.R_X86_64_32:
        return this.#half(entry, plus(this.#symbol(entry, definition), addend), UNSIGNED);
      case elf.R_X86_64_32S:
        return this.#half(entry, plus(this.#symbol(entry, definition), addend), SIGNED);
      case elf.R_X86_64_PC32:
        return this.#half(entry, this.#distance(entry, definition), SIGNED);
      case elf.R_X86_64_PC64:
        return this.#word(vaddr, this.#distance(entry, definition));
      case elf.R_X86_64_SIZE32:
        return this.#half(entry, plus(sizeOf(definition), addend), UNSIGNED);
      case elf.R_X86_64_SIZE64:
        return this.#word(vaddr, plus(sizeOf(definition), addend));
      case elf.R_X86_64_COPY:
        return definition ? this.#copy(entry, definition) : NOTHING;
      case elf.R_X86_64_DTPMOD64:
        return definition ? this.#word(vaddr, this.#tls(entry, definition).module) : NOTHING;
      case elf.R_X86_64_DTPOFF64:
        return definition ? this.#word(vaddr, plus(this.#inBlock(entry, definition), addend)) : NOTHING;
      case elf.R_X86_64_TPOFF64:
        return definition ? this.#word(vaddr, this.#threadOffset(entry, definition)) : NOTHING;
      case elf.R_X86_64_TLSDESC:
        return this.#descriptor(entry, definition);
      default:
        throw this.#fault(entry, `has type ${type}, which no loader of x86-64 programs knows`);
    }
  }

  #fault(entry: Entry, text: string): LinkError {
    return faultOf(this.slots.object, entry, text);
  }

  #word(vaddr: Vaddr, value: Value): Effect {
    this.slots.write64(vaddr, value);
    return { value };
  }

  #half(entry: Entry, value: Value, [least, most]: readonly [number, number]): Effect {
    if (value < least || value > most) throw this.#fault(entry, `overflows: ${show(value)} does not fit 32 bits`);
    this.slots.write32(entry.vaddr, Number(value));
    return { value };
  }

  /** S + A, or the resolver call that returns S. */
  #address(entry: Entry, definition: Definition | undefined, addend: Value): Effect {
    if (definition && isChosen(definition)) return this.#call(entry.vaddr, addressOf(definition), addend);
    return this.#word(entry.vaddr, plus(this.#symbol(entry, definition), addend));
  }

  /** S + A - P */
  #distance(entry: Entry, definition: Definition | undefined): Value {
    const place = add(this.slots.object.loadBias, entry.vaddr);
    return minus(plus(this.#symbol(entry, definition), entry.addend), place);
  }

  /** S */
  #symbol(entry: Entry, definition: Definition | undefined): Value {
    if (!definition) return 0;
    if (definition.object.image.symbols.type(definition.symbol) === elf.STT_TLS)
      throw this.#fault(entry, `wants an address, and ${described(definition)} is thread-local`);
    if (isChosen(definition))
      throw this.#fault(entry, `has no room for the address of ${described(definition)}, which is chosen by a call`);
    return addressOf(definition);
  }

  #call(vaddr: Vaddr, resolver: Value, addend: Value): Effect {
    const { object } = this.slots;
    const slot = add(object.loadBias, vaddr);
    return { call: { kind: "call", object, vaddr, slot, resolver: toAddress(Number(resolver)), addend } };
  }

  #copy(entry: Entry, definition: Definition): Effect {
    const { object, space } = this.slots;
    const { vaddr, symbol } = entry;
    const { path, start, end } = definition.object;
    const from = toAddress(Number(this.#symbol(entry, definition)));
    const [room, size] = [Number(sizeOf({ object, symbol })), Number(sizeOf(definition))];
    const length = Math.min(room, size);
    if (room !== size)
      this.warn?.(
        `${described({ object, symbol })} has ${room} bytes and is a copy of one of ${size} in "${path}"; link the program again`,
      );
    const isTooLong = !(length <= LARGEST_COPY);
    const fault = isTooLong ? `copies ${length} bytes, which is no variable` : this.slots.faultOf(vaddr, length);
    if (fault !== undefined) throw this.#fault(entry, fault);
    if (!(from >= start && from + length <= end))
      throw this.#fault(entry, `copies ${length} bytes at ${hex(from)}, which "${path}" does not have`);
    for (let done = 0; done < length; done += COPIED_AT_ONCE) {
      const count = Math.min(COPIED_AT_ONCE, length - done);
      const [bytes, before] = [
        space.read(add(from, done), count),
        space.read(add(object.loadBias, vaddr + done), count),
      ];
      // Most of a large variable is zeroes, and the space for it already is zero.
      if (!areEqual(bytes, before)) this.slots.write(add(vaddr, done), bytes);
    }
    const late = { kind: "copy", from, to: add(object.loadBias, vaddr), length } as const;
    return { copied: { from, length }, ...(this.isPending(from, length) ? { late } : {}) };
  }

  #tls(entry: Entry, { object, symbol }: Definition): TlsBlock {
    const kind = object.image.symbols.type(symbol);
    // Symbol 0 or a section symbol means the object's own block.
    if (symbol !== 0 && kind !== elf.STT_TLS && kind !== elf.STT_SECTION)
      throw this.#fault(entry, `wants thread-local data, and ${described({ object, symbol })} is not thread-local`);
    if (!object.tls) throw this.#fault(entry, `wants thread-local data of "${object.path}", which has no PT_TLS`);
    return object.tls;
  }

  /** A thread-local variable's offset in its block. */
  #inBlock(entry: Entry, definition: Definition): Value {
    this.#tls(entry, definition);
    return symbolValue(definition);
  }

  /** Its offset from the thread pointer. */
  #threadOffset(entry: Entry, definition: Definition): Value {
    const { offset } = this.#tls(entry, definition);
    return plus(minus(this.#inBlock(entry, definition), offset), entry.addend);
  }

  /** A function, and its argument in the next word. */
  #descriptor(entry: Entry, definition: Definition | undefined): Effect {
    const { vaddr, addend } = entry;
    const { descriptors } = this;
    const argument = definition ? this.#threadOffset(entry, definition) : addend;
    if (descriptors) this.slots.write64(vaddr, definition ? descriptors.static : descriptors.undefined);
    return this.#word(add(vaddr, 8), argument);
  }
}

export function faultOf({ path }: LinkObject, { type, vaddr }: Entry, text: string): LinkError {
  const message = `Cannot relocate "${path}": ${nameOf(RELOCATION_TYPES, type)} at vaddr ${hex(vaddr)} ${text}`;
  return new LinkError(message, { object: path });
}

/** Must its resolver be called? An undefined symbol's value is a PLT entry, which already is the function's address. */
function isChosen({ object, symbol }: Definition): boolean {
  const { symbols } = object.image;
  return symbols.type(symbol) === elf.STT_GNU_IFUNC && symbols.section(symbol) !== elf.SHN_UNDEF;
}

/** With SHN_ABS the value is an address, otherwise a vaddr. */
function addressOf(definition: Definition): Value {
  const { object, symbol } = definition;
  const value = symbolValue(definition);
  return object.image.symbols.section(symbol) === elf.SHN_ABS ? value : plus(object.loadBias, value);
}

const symbolValue = ({ object, symbol }: Definition): Value =>
  value64At(object.image.symbols.view, symbol * Sym.size + Sym.offsetOf.st_value);

/** In bytes. */
const sizeOf = (definition: Definition | undefined): Value =>
  definition ? value64At(definition.object.image.symbols.view, definition.symbol * Sym.size + Sym.offsetOf.st_size) : 0;

function described({ object, symbol }: Definition): string {
  const { symbols } = object.image;
  return `"${symbols.nameOf(symbols.at(symbol))}" of "${object.path}"`;
}

const areEqual = (one: DataView, other: DataView): boolean => Buffer.compare(bytesOf(one), bytesOf(other)) === 0;

const bytesOf = ({ buffer, byteOffset, byteLength }: DataView): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength);

const show = (value: Value): string => (value < 0 ? `-${hex(-value)}` : hex(value));
