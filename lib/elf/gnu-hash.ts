// DT_GNU_HASH (no specification; as GNU ld, lld and glibc agree on it):
//
//   nbuckets | symoffset | bloom_size | bloom_shift
//   bloom[bloom_size]         64-bit words
//   buckets[nbuckets]         index of the first symbol, or 0
//   chain[symbols-symoffset]  hash of each symbol; bit 0 ends the chain
//
// Only defined symbols are in it, at the end of the symbol table, in the order
// of their buckets. It does not say how many symbols there are: the end of the
// last chain does.

import { isPowerOfTwo } from "../memory/numbers.ts";
import { ElfError } from "./error.ts";

export function gnuHash(name: Uint8Array): number {
  let hash = 5381;
  for (const byte of name) hash = (Math.imul(hash, 33) + byte) >>> 0;
  return hash;
}

/** In bytes. */
const HEADER = 16;

export class GnuHash {
  readonly bucketCount: number;
  /** Index of the first symbol in the table. */
  readonly symOffset: number;
  readonly #bloomSize: number;
  readonly #bloomShift: number;
  readonly #buckets: number;
  readonly #chain: number;
  #symbolCount?: number;
  #last?: number;

  /** `view` begins at the table and reaches as far as its segment does. */
  constructor(
    readonly path: string,
    readonly view: DataView,
  ) {
    if (view.byteLength < HEADER) throw new ElfError(path, "DT_GNU_HASH", "its segment ends within its header");
    this.bucketCount = view.getUint32(0, true);
    this.symOffset = view.getUint32(4, true);
    this.#bloomSize = view.getUint32(8, true);
    this.#bloomShift = view.getUint32(12, true);
    this.#buckets = HEADER + 8 * this.#bloomSize;
    this.#chain = this.#buckets + 4 * this.bucketCount;
    // Without buckets a loader passes over the object, and looks at nothing else (lld has written such tables).
    if (this.bucketCount === 0) return;
    if (this.#chain > view.byteLength)
      throw new ElfError(
        path,
        "DT_GNU_HASH",
        `${this.#bloomSize} bloom words and ${this.bucketCount} buckets reach beyond its segment`,
      );
    if (this.#bloomSize === 0) throw new ElfError(path, "DT_GNU_HASH", "it has buckets, and no bloom filter");
  }

  /**
   * Candidates for a hash, in chain order: the indexes whose stored hash agrees. The name is the caller's to compare.
   */
  *candidates(hash: number): Generator<number> {
    const { view } = this;
    if (this.bucketCount === 0) return;
    const word = view.getBigUint64(HEADER + 8 * ((hash >>> 6) % this.#bloomSize), true);
    const first = 1n << BigInt(hash & 63);
    const second = 1n << BigInt((hash >>> (this.#bloomShift & 31)) & 63);
    if ((word & first) === 0n || (word & second) === 0n) return;
    let index = view.getUint32(this.#buckets + 4 * (hash % this.bucketCount), true);
    if (index === 0 || index < this.symOffset) return;
    for (;;) {
      const stored = this.#stored(index);
      if ((stored ^ hash) >>> 1 === 0) yield index;
      if (stored & 1) return;
      index++;
    }
  }

  /** Throws ElfError where a lookup could leave the table, in one of `symbols` symbols. */
  check(symbols: number): void {
    const { path, view, symOffset, bucketCount } = this;
    // glibc masks with the size less one, and asserts that it can
    if (this.#bloomSize > 0 && !isPowerOfTwo(this.#bloomSize))
      throw new ElfError(path, "DT_GNU_HASH", `the size of its bloom filter, ${this.#bloomSize}, is no power of two`);
    for (let i = 0; i < bucketCount; i++) {
      const first = view.getUint32(this.#buckets + 4 * i, true);
      if (first !== 0 && (first < symOffset || first >= symbols))
        throw new ElfError(
          path,
          "DT_GNU_HASH",
          `bucket ${i} begins with symbol ${first}, of ${symOffset} to ${symbols}`,
        );
    }
  }

  /**
   * There is no symbol in it. `symbolCount` is then no more than a hint: GNU ld (2.40 still) writes symoffset 1.
   */
  get isEmpty(): boolean {
    const last = this.#lastChain();
    return last === 0 || last < this.symOffset;
  }

  /** How many symbols the symbol table has, the undefined ones in front included. */
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
    if (this.#last !== undefined) return this.#last;
    let last = 0;
    for (let i = 0, at = this.#buckets; i < this.bucketCount; i++, at += 4) {
      const first = this.view.getUint32(at, true);
      if (first > last) last = first;
    }
    this.#last = last;
    return last;
  }

  /** Of the whole table, in bytes; its header where nothing else of it counts. */
  get size(): number {
    if (this.bucketCount === 0) return HEADER;
    return this.#chain + 4 * Math.max(0, this.symbolCount - this.symOffset);
  }

  #stored(index: number): number {
    const at = this.#chain + 4 * (index - this.symOffset);
    if (at + 4 > this.view.byteLength)
      throw new ElfError(this.path, "DT_GNU_HASH", `the chain of symbol ${index} reaches beyond its segment`);
    return this.view.getUint32(at, true);
  }
}
