// What instructions are made of: prefixes, opcodes, ModRM and SIB bytes, immediates, label distances, and data between
// them. Bytes are written at once; names and operands are kept for the listing. Encodings: Intel 64 SDM, volume 2,
// chapter 2.

import { cString } from "../memory/live.ts";
import { type Address, add } from "../memory/numbers.ts";
import { LINE_WORDS, listingOf, type Operand, textOf } from "./listing.ts";
import type { Memory, Register, Size } from "./operands.ts";

export interface Code {
  readonly bytes: Uint8Array;
  /** Where each label is, in bytes from the beginning. */
  readonly labels: ReadonlyMap<string, number>;
  readonly listing: readonly { readonly at: number; readonly text: string }[];
  /** The 64-bit data words, and where they are. */
  readonly quads: readonly { readonly at: number; readonly value: number | bigint }[];
}

/** Code that writable data follows, from the offset `dataAt` on: whole pages after the beginning. */
export interface CodeAndData {
  readonly code: Code;
  readonly dataAt: number;
}

/** In bytes. */
const LONGEST_INSTRUCTION = 15;

/** In a SIB byte. */
const SCALES = { 1: 0, 2: 0x40, 4: 0x80, 8: 0xc0 } as const;
const NOTHING = new Uint8Array(0);

export const isByte = (value: number): boolean => value >= -128 && value <= 127;

export class Encoder {
  #bytes = new Uint8Array(2048);
  #length = 0;
  /** LINE_WORDS per line. */
  readonly #lines: Operand[] = [];
  readonly #labels = new Map<string, number>();
  /** Three items each: where the 32 bits are, the label, and where its distance counts from. */
  readonly #distances: (number | string)[] = [];
  readonly #quads: Code["quads"][number][] = [];

  label(name: string): this {
    return this.outside(name, this.#length);
  }

  /** A label outside this code, `at` bytes from its beginning, for instructions to refer to. */
  outside(name: string, at: number): this {
    if (this.#labels.has(name)) throw new Error(`Cannot assemble: label "${name}" stands twice`);
    this.#labels.set(name, at);
    return this;
  }

  quad(value: number | bigint): this {
    this.line(".quad", value);
    this.#quads.push({ at: this.#length, value });
    return this.wide(value);
  }

  /** 64-bit words, each with a label. */
  quads(words: Readonly<Record<string, number | bigint>>): this {
    for (const [name, word] of Object.entries(words)) this.label(name).quad(word);
    return this;
  }

  /** A NUL-terminated string. */
  text(text: string): this {
    return this.data(cString(text));
  }

  /** NUL-terminated strings, each with a label. */
  texts(texts: Readonly<Record<string, string>>): this {
    for (const [name, text] of Object.entries(texts)) this.label(name).text(text);
    return this;
  }

  /** A string without a NUL, and at the label `NAME size` its length in bytes. */
  sizedText(name: string, text: string): this {
    const bytes = Buffer.from(text);
    return this.label(name).data(bytes).align(8).label(`${name} size`).quad(bytes.length);
  }

  /** Raw bytes, padded with NULs to `size`. */
  data(bytes: Uint8Array, size = bytes.length): this {
    this.line(".space", size);
    if (this.#length + size > this.#bytes.length) this.#grow(size);
    this.#bytes.set(bytes, this.#length);
    this.#length += size;
    return this;
  }

  align(alignment: number): this {
    const over = this.#length % alignment;
    return over === 0 ? this : this.data(NOTHING, alignment - over);
  }

  get length(): number {
    return this.#length;
  }

  assemble(): Code {
    const distances = this.#distances;
    for (let i = 0; i < distances.length; i += 3) {
      const [at, label, from] = [Number(distances[i]), `${distances[i + 1]}`, Number(distances[i + 2])];
      const target = this.#labels.get(label);
      if (target === undefined) throw new Error(`Cannot assemble: there is no label "${label}"`);
      this.#word(target - from, at);
    }
    const lines = this.#lines;
    return {
      bytes: this.#bytes.slice(0, this.#length),
      labels: this.#labels,
      quads: this.#quads,
      get listing() {
        return listingOf(lines);
      },
    };
  }

  /** Records an instruction for the listing, and makes room for it. */
  protected line(mnemonic: string, a?: Operand, b?: Operand, c?: Operand): this {
    this.#lines.push(this.#length, mnemonic, a, b, c);
    if (this.#length + LONGEST_INSTRUCTION > this.#bytes.length) this.#grow(LONGEST_INSTRUCTION);
    return this;
  }

  /**
   * A one- or two-byte opcode with its operands. `register` is a register's number, or extends the opcode. `toCome`
   * bytes follow: the distance to a label counts from after them.
   */
  protected encode(size: Size, opcode: number, register: number, place: Register<number> | Memory, toCome = 0): this {
    const bytes = this.#bytes;
    let at = this.#length;
    const isRegister = place.size !== undefined;
    const base = isRegister ? place : place.base;
    const index = isRegister ? undefined : place.index;
    const code = base ? base.code : 0;
    if (!isRegister && place.isThreadLocal) bytes[at++] = 0x64;
    if (size === 16) bytes[at++] = 0x66;
    // REX: W, R, X and B; some byte registers require one, and have 0x40 in their code
    const wide = size === 64 ? 0x48 : (register | code) & 0x40;
    const rex = wide | ((register & 8) >> 1) | (index ? (index.code & 8) >> 2 : 0) | ((code & 8) >> 3);
    if (rex !== 0) bytes[at++] = rex | 0x40;
    if (opcode > 0xff) bytes[at++] = opcode >> 8;
    bytes[at++] = opcode;

    const field = (register & 7) << 3;
    if (isRegister) {
      bytes[at++] = 0xc0 | field | (code & 7);
      this.#length = at;
      return this;
    }
    const { displacement, label } = place;
    if (label !== undefined) {
      bytes[at++] = field | 5;
      this.#length = at;
      return this.#distance(label, toCome);
    }
    const low = base ? code & 7 : 5;
    const mode = !base || (displacement === 0 && low !== 5) ? 0 : isByte(displacement) ? 0x40 : 0x80;
    // Without a base, and with rsp and r12, a SIB byte is required.
    if (base && !index && low !== 4) bytes[at++] = mode | field | low;
    else {
      bytes[at++] = mode | field | 4;
      bytes[at++] = SCALES[place.scale] | (index ? (index.code & 7) << 3 : 0x20) | low;
    }
    if (mode === 0x40) bytes[at++] = displacement;
    this.#length = at;
    return mode === 0x80 || !base ? this.#word(displacement) : this;
  }

  /** An opcode that includes a register's number, or has no operand. */
  protected opcode(size: Size, opcode: number, code = 0): this {
    if (size === 16) this.byte(0x66);
    const rex = (size === 64 ? 0x48 : code & 0x40) | ((code & 8) >> 3);
    if (rex !== 0) this.byte(rex | 0x40);
    if (opcode > 0xff) this.byte(opcode >> 8);
    return this.byte(opcode | (code & 7));
  }

  /** An opcode with the distance to a label. */
  protected jump(mnemonic: string, opcode: number, label: string): this {
    return this.line(mnemonic, label).opcode(32, opcode).#distance(label, 0);
  }

  /** An immediate. */
  protected number(size: Size, value: number): this {
    const number = this.checked(size, value);
    if (size >= 32) return this.#word(number);
    this.byte(number);
    return size === 16 ? this.byte(number >> 8) : this;
  }

  protected byte(value: number): this {
    this.#bytes[this.#length++] = value;
    return this;
  }

  /** An immediate as encoded: signed, and at most 32 bits, which are extended to 64. */
  protected checked(size: Size, value: number): number {
    const bits = size === 64 ? 32 : size;
    const number = (value << (32 - bits)) >> (32 - bits);
    if (number === value) return number;
    if (size === 64 || number >= 0 || number !== value - 2 ** bits)
      this.refuse(`${value} is no number of ${bits} bits`);
    return number;
  }

  /** 64 bits. */
  protected wide(value: number | bigint): this {
    const isSmall = typeof value === "number";
    this.#word(isSmall ? value : Number(BigInt.asIntN(32, value)));
    return this.#word(isSmall ? Math.floor(value / 2 ** 32) : Number(BigInt.asIntN(32, value >> 32n)));
  }

  #distance(label: string, toCome: number): this {
    this.#distances.push(this.#length, label, this.#length + 4 + toCome);
    this.#length += 4;
    return this;
  }

  /** The lowest 32 bits. */
  #word(value: number, at = this.#length): this {
    const [bytes, word] = [this.#bytes, value | 0];
    bytes[at] = word;
    bytes[at + 1] = word >> 8;
    bytes[at + 2] = word >> 16;
    bytes[at + 3] = word >> 24;
    if (at === this.#length) this.#length += 4;
    return this;
  }

  #grow(size: number): void {
    const bytes = new Uint8Array(2 * (this.#length + size));
    bytes.set(this.#bytes);
    this.#bytes = bytes;
  }

  protected refuse(why: string): never {
    throw new Error(`Cannot assemble "${textOf(this.#lines, this.#lines.length - LINE_WORDS)}": ${why}`);
  }
}

/** A label's address when the code is at `start`. */
export function addressOfLabel(code: Code, label: string, start: Address): Address {
  const at = code.labels.get(label);
  if (at === undefined) throw new Error(`Cannot find label "${label}"`);
  return add(start, at);
}
