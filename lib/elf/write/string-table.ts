// A string table under construction: an existing one, with strings appended.

import type { Image } from "../image.ts";

const encoder = new TextEncoder();

export class StringTableWriter {
  readonly #pieces: Uint8Array[];
  #size: number;

  /** `first` is a whole table, with at least the empty string. */
  constructor(first: Uint8Array = Uint8Array.of(0)) {
    this.#pieces = [first];
    this.#size = first.length;
  }

  /** Returns the string's offset. */
  add(text: string): number {
    const bytes = encoder.encode(`${text}\0`);
    const offset = this.#size;
    this.#pieces.push(bytes);
    this.#size += bytes.length;
    return offset;
  }

  /** Returns the offset of the string in the source's table, with which this one begins, if that is its soname. */
  addSoname(soname: string, source: Image): number {
    return (source.soname === soname ? source.sonameOffset : undefined) ?? this.add(soname);
  }

  get bytes(): Uint8Array {
    return this.#pieces.length === 1 ? (this.#pieces[0] as Uint8Array) : new Uint8Array(Buffer.concat(this.#pieces));
  }
}
