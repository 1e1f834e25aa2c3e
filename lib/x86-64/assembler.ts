// A list of instructions with labels: each line carries its assembly text (AT&T,
// as objdump prints it) beside its bytes, so that a test can disassemble the
// result and compare. It knows no instructions; it only resolves labels.

import { type Address, add } from "../memory/numbers.ts";

interface Line {
  readonly text: string;
  readonly bytes: readonly number[];
  /** The label whose distance from the end of this line is its last four bytes. */
  readonly relativeTo?: string;
}

/** Condition codes of the two-byte conditional jumps (0f 80+cc). */
const JUMPS: Readonly<Record<string, readonly number[]>> = {
  jmp: [0xe9],
  call: [0xe8],
  je: [0x0f, 0x84],
  jne: [0x0f, 0x85],
  js: [0x0f, 0x88],
  jb: [0x0f, 0x82],
  jae: [0x0f, 0x83],
  ja: [0x0f, 0x87],
  jle: [0x0f, 0x8e],
  jg: [0x0f, 0x8f],
};

export interface Code {
  readonly bytes: Uint8Array;
  /** Where each label is, in bytes from the beginning. */
  readonly labels: ReadonlyMap<string, number>;
  readonly listing: readonly { readonly at: number; readonly text: string }[];
  /** The data of 64 bits, and where it is. */
  readonly quads: readonly { readonly at: number; readonly value: number | bigint }[];
}

export class Assembler {
  readonly #lines: Line[] = [];
  readonly #labels = new Map<string, number>();
  readonly #quads: Code["quads"][number][] = [];
  #length = 0;

  /** One instruction without a label in it. */
  op(text: string, ...bytes: number[]): this {
    return this.#push({ text, bytes });
  }

  /** A jump or call to a label, always with 32 bits. */
  to(mnemonic: string, label: string): this {
    const opcode = JUMPS[mnemonic];
    if (!opcode) throw new Error(`Cannot assemble "${mnemonic}": no such jump`);
    return this.#push({ text: `${mnemonic} ${label}`, bytes: [...opcode, 0, 0, 0, 0], relativeTo: label });
  }

  /** An instruction whose operand is `label(%rip)`: opcode and ModRM in `bytes`, the displacement follows. */
  rip(text: string, label: string, ...bytes: number[]): this {
    return this.#push({ text, bytes: [...bytes, 0, 0, 0, 0], relativeTo: label });
  }

  label(name: string): this {
    if (this.#labels.has(name)) throw new Error(`Cannot assemble: label "${name}" stands twice`);
    this.#labels.set(name, this.#length);
    return this;
  }

  /** A place that is not in this code, so many bytes from its beginning, for instructions to refer to. */
  outside(name: string, at: number): this {
    this.label(name);
    this.#labels.set(name, at);
    return this;
  }

  /** Data: 64 bits. */
  quad(value: number | bigint): this {
    this.#quads.push({ at: this.#length, value });
    const bytes = new Uint8Array(new BigUint64Array([BigInt(value)]).buffer);
    return this.#push({ text: `.quad 0x${value.toString(16)}`, bytes: [...bytes] });
  }

  /** Data: bytes as they are, padded with NULs to `size`. */
  data(bytes: Uint8Array, size = bytes.length): this {
    return this.#push({ text: `.space ${size}`, bytes: [...bytes, ...new Array<number>(size - bytes.length).fill(0)] });
  }

  align(alignment: number): this {
    const over = this.#length % alignment;
    return over === 0 ? this : this.data(new Uint8Array(alignment - over));
  }

  get length(): number {
    return this.#length;
  }

  assemble(): Code {
    const bytes = new Uint8Array(this.#length);
    const view = new DataView(bytes.buffer);
    let at = 0;
    for (const line of this.#lines) {
      bytes.set(line.bytes, at);
      at += line.bytes.length;
      if (line.relativeTo === undefined) continue;
      const target = this.#labels.get(line.relativeTo);
      if (target === undefined) throw new Error(`Cannot assemble "${line.text}": no label "${line.relativeTo}"`);
      view.setInt32(at - 4, target - at, true);
    }
    const lines = this.#lines;
    return {
      bytes,
      labels: this.#labels,
      quads: this.#quads,
      get listing() {
        let next = 0;
        return lines.map(({ text, bytes: { length } }) => {
          const line = { at: next, text };
          next += length;
          return line;
        });
      },
    };
  }

  #push(line: Line): this {
    this.#lines.push(line);
    this.#length += line.bytes.length;
    return this;
  }
}

/** 32 bits, as an immediate operand has them. */
export const immediate = (value: number): Uint8Array => new Uint8Array(Int32Array.of(value).buffer);

/** Where a label is once the code stands at `start`. */
export function addressOfLabel(code: Code, label: string, start: Address): Address {
  const at = code.labels.get(label);
  if (at === undefined) throw new Error(`Cannot find label "${label}"`);
  return add(start, at);
}
