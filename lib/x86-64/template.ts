// Code that is assembled once and put into many processes; only the addresses in its data differ. They are data words
// (`.quad`), never operands, so that they can be filled in.

import { Assembler, type Code } from "./assembler.ts";

/** The value of a name; undefined if there is none. */
export type Values = (name: string) => number | undefined;

/** Throws where there is nothing of that name. */
export function required(values: Values, name: string): number {
  const value = values(name);
  if (value === undefined) throw new Error(`Cannot assemble: there is no value for "${name}"`);
  return value;
}

/** Emits code with the values as quads. Returns what the caller needs to know about it. */
export type Emit<Result> = (to: Assembler, value: Values) => Result;

export interface Assembled<Result> {
  readonly code: Code;
  readonly result: Result;
}

/** First number that stands for a name: no user address, and no other word in code. */
const FIRST = 2 ** 50;

class Template<Result> {
  /** In the order of the numbers that stand for them; says whether the name had a value. */
  readonly #names = new Map<string, boolean>();
  readonly #code: Code;
  readonly #places: { readonly at: number; readonly name: string }[];
  readonly #result: Result;

  constructor(emit: Emit<Result>, values: Values) {
    const to = new Assembler();
    const markers = new Map<number, string>();
    this.#result = emit(to, (name) => {
      const isThere = values(name) !== undefined;
      this.#names.set(name, isThere);
      if (!isThere) return undefined;
      const marker = FIRST + markers.size;
      markers.set(marker, name);
      return marker;
    });
    this.#code = to.assemble();
    this.#places = this.#code.quads.flatMap(({ at, value }) => {
      const name = markers.get(Number(value));
      return name === undefined ? [] : [{ at, name }];
    });
  }

  /** The code with these values. Undefined if a name has a value and had none before, or the reverse. */
  with(values: Values): Assembled<Result> | undefined {
    for (const [name, isThere] of this.#names) if ((values(name) !== undefined) !== isThere) return undefined;
    const bytes = this.#code.bytes.slice();
    const view = new DataView(bytes.buffer);
    for (const { at, name } of this.#places) view.setBigUint64(at, BigInt(values(name) ?? 0), true);
    const template = this.#code;
    const { labels, quads } = template;
    // The listing takes longer than all the rest, and is for tests.
    const code = {
      bytes,
      labels,
      quads,
      get listing() {
        return template.listing;
      },
    };
    return { code, result: this.#result };
  }
}

/** Templates by key, each made on first use. */
export class Templates {
  readonly #made = new Map<string, Template<unknown>>();

  assemble<Result>(key: string, emit: Emit<Result>, values: Values): Assembled<Result> {
    let assembled = this.#made.get(key)?.with(values);
    if (!assembled) {
      const template = new Template(emit, values);
      this.#made.set(key, template);
      assembled = template.with(values);
    }
    if (!assembled) throw new Error(`Cannot assemble "${key}": it is not the same twice`);
    return assembled as Assembled<Result>;
  }
}
