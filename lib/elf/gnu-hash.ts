// DT_GNU_HASH (no specification; the layout that GNU ld, lld and glibc agree on):
//
//   nbuckets | symoffset | bloom_size | bloom_shift
//   bloom[bloom_size]         64-bit words
//   buckets[nbuckets]         index of the first symbol, or 0
//   chain[symbols-symoffset]  hash of each symbol; bit 0 ends the chain
//
// It has only defined symbols, at the end of the symbol table, in bucket order. It does not store the number of
// symbols: the end of the last chain gives it.

import { isPowerOfTwo } from "../memory/numbers.ts";
import { ElfError } from "./error.ts";
import { wordsOf } from "./words.ts";

export function gnuHash(name: Uint8Array): number {
  let hash = 5381;
  for (const byte of name) hash = (Math.imul(hash, 33) + byte) >>> 0;
  return hash;
}

/** In words. */
const HEADER = 4;

export class GnuHash {
  readonly bucketCount: number;
  /** Index of the first symbol that the table covers. */
  readonly symOffset: number;
  readonly #words: Uint32Array;
  readonly #bloomSize: number;
  readonly #bloomShift: number;
  /** Where these begin, in words. */
  readonly #buckets: number;
  readonly #chain: number;
  #symbolCount?: number;
  #last?: number;

  /** `view` starts at the table and extends to the end of its segment. */
  constructor(
    readonly path: string,
    readonly view: DataView,
  ) {
    this.#words = wordsOf(view);
    if (this.#words.length < HEADER) throw this.#fault("its segment ends within its header");
    [this.bucketCount = 0, this.symOffset = 0, this.#bloomSize = 0, this.#bloomShift = 0] = this.#words;
    this.#buckets = HEADER + 2 * this.#bloomSize;
    this.#chain = this.#buckets + this.bucketCount;
    // Without buckets, a loader skips the object and reads nothing else (lld has written such tables).
    if (this.bucketCount === 0) return;
    if (this.#chain > this.#words.length)
      throw this.#fault(`${this.#bloomSize} bloom words and ${this.bucketCount} buckets reach beyond its segment`);
    if (this.#bloomSize === 0) throw this.#fault("it has buckets, and no bloom filter");
  }

  /** Candidates for a hash, in chain order: the indexes whose stored hash matches. The caller compares names. */
  candidates(hash: number): readonly number[] {
    if (this.bucketCount === 0 || !this.#mayHave(hash)) return [];
    let index = this.#words[this.#buckets + (hash % this.bucketCount)] as number;
    if (index === 0 || index < this.symOffset) return [];
    const found: number[] = [];
    for (;;) {
      const stored = this.#stored(index);
      if ((stored ^ hash) >>> 1 === 0) found.push(index);
      if (stored & 1) return found;
      index++;
    }
  }

  /** Hot: most objects lack most names. Shifts use a count's lower five bits; the sixth selects the half of a word. */
  #mayHave(hash: number): boolean {
    const word = HEADER + 2 * ((hash >>> 6) % this.#bloomSize);
    const other = hash >>> this.#bloomShift;
    const first = (this.#words[word + ((hash >>> 5) & 1)] as number) >>> (hash & 31);
    const second = (this.#words[word + ((other >>> 5) & 1)] as number) >>> (other & 31);
    return (first & second & 1) !== 0;
  }

  /** Throws ElfError if a lookup could leave the table of an object with `symbols` symbols. */
  check(symbols: number): void {
    // glibc masks with the size minus one, and asserts a power of two
    if (this.#bloomSize > 0 && !isPowerOfTwo(this.#bloomSize))
      throw this.#fault(`the size of its bloom filter, ${this.#bloomSize}, is no power of two`);
    for (let i = 0; i < this.bucketCount; i++) {
      const first = this.#words[this.#buckets + i] as number;
      if (first !== 0 && (first < this.symOffset || first >= symbols))
        throw this.#fault(`bucket ${i} begins with symbol ${first}, of ${this.symOffset} to ${symbols}`);
    }
  }

  /** The table has no symbols. `symbolCount` is then only a hint: GNU ld (still in 2.40) writes symoffset 1. */
  get isEmpty(): boolean {
    const last = this.#lastChain();
    return last === 0 || last < this.symOffset;
  }

  /** Number of symbols in the symbol table, including the undefined ones at its start. */
  get symbolCount(): number {
    this.#symbolCount ??= this.#countSymbols();
    return this.#symbolCount;
  }

  #countSymbols(): number {
    if (this.isEmpty) return this.symOffset;
    let last = this.#lastChain();
    while ((this.#stored(last) & 1) === 0) last++;
    return last + 1;
  }

  /** The first symbol of the last chain. */
  #lastChain(): number {
    this.#last ??= this.#words.subarray(this.#buckets, this.#chain).reduce((last, first) => Math.max(last, first), 0);
    return this.#last;
  }

  /** Size of the whole table in bytes; only the header if there are no buckets. */
  get size(): number {
    if (this.bucketCount === 0) return 4 * HEADER;
    return 4 * (this.#chain + Math.max(0, this.symbolCount - this.symOffset));
  }

  #stored(index: number): number {
    const stored = this.#words[this.#chain + index - this.symOffset];
    if (stored === undefined) throw this.#fault(`the chain of symbol ${index} reaches beyond its segment`);
    return stored;
  }

  #fault(text: string): ElfError {
    return new ElfError(this.path, "DT_GNU_HASH", text);
  }
}
