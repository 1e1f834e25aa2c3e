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

export function gnuHash(name: Uint8Array): number {
  let hash = 5381;
  for (const byte of name) hash = (Math.imul(hash, 33) + byte) >>> 0;
  return hash;
}

/** In bytes. */
const HEADER = 16;

export class GnuHash {
  readonly bucketCount: number;
  /** Index of the first symbol that the table covers. */
  readonly symOffset: number;
  readonly #bloomSize: number;
  readonly #bloomShift: number;
  readonly #buckets: number;
  readonly #chain: number;
  #symbolCount?: number;
  #last?: number;

  /** `view` starts at the table and extends to the end of its segment. */
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
    // Without buckets, a loader skips the object and reads nothing else (lld has written such tables).
    if (this.bucketCount === 0) return;
    if (this.#chain > view.byteLength)
      throw new ElfError(
        path,
        "DT_GNU_HASH",
        `${this.#bloomSize} bloom words and ${this.bucketCount} buckets reach beyond its segment`,
      );
    if (this.#bloomSize === 0) throw new ElfError(path, "DT_GNU_HASH", "it has buckets, and no bloom filter");
  }

  /** Candidates for a hash, in chain order: the indexes whose stored hash matches. The caller compares names. */
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

  /** Throws ElfError if a lookup could leave the table of an object with `symbols` symbols. */
  check(symbols: number): void {
    const { path, view, symOffset, bucketCount } = this;
    // glibc masks with the size minus one, and asserts a power of two
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
    if (this.#last !== undefined) return this.#last;
    let last = 0;
    for (let i = 0, at = this.#buckets; i < this.bucketCount; i++, at += 4) {
      const first = this.view.getUint32(at, true);
      if (first > last) last = first;
    }
    this.#last = last;
    return last;
  }

  /** Size of the whole table in bytes; only the header if there are no buckets. */
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
