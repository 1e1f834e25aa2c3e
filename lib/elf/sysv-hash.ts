// DT_HASH (gABI, "Hash Table"): nbucket | nchain | bucket[nbucket] | chain[nchain]. nchain is also the number of
// symbols.

import { ElfError } from "./error.ts";
import { wordsOf } from "./words.ts";

export function sysvHash(name: Uint8Array): number {
  let hash = 0;
  for (const byte of name) {
    hash = (hash << 4) + byte;
    const high = hash & 0xf0000000;
    hash = (hash ^ (high >>> 24)) & ~high;
  }
  return hash;
}

/** In words. */
const HEADER = 2;

export class SysvHash {
  readonly bucketCount: number;
  readonly #words: Uint32Array;
  #members?: ReadonlyMap<number, number>;
  /** Length of the chains: as declared, or up to the last symbol that a lookup reaches. */
  #chainCount?: number;

  /**
   * `view` starts at the table and extends to the end of its segment. `isPassedOver`: there is also a DT_GNU_HASH, so
   * loaders ignore this table.
   */
  constructor(
    readonly path: string,
    readonly view: DataView,
    readonly isPassedOver = false,
  ) {
    this.#words = wordsOf(view);
    if (this.#words.length < HEADER) throw this.#fault("its segment ends within its header");
    this.bucketCount = this.#words[0] as number;
    if (HEADER + this.bucketCount > this.#words.length)
      throw this.#fault(`${this.bucketCount} buckets reach beyond its segment`);
  }

  /**
   * Number of symbols in the symbol table, as far as this table shows: nchain, which no loader reads, or more if chains
   * go further. Throws ElfError for a chain that loops or leaves the segment.
   */
  get symbolCount(): number {
    this.#chainCount ??= Math.max(this.isPassedOver ? 0 : this.#length, this.declaredCount);
    return this.#chainCount;
  }

  get #length(): number {
    let last = -1;
    for (const index of this.members.keys()) if (index > last) last = index;
    return last + 1;
  }

  /** nchain; 0 if that many do not fit in the segment. */
  get declaredCount(): number {
    const count = this.#words[1] as number;
    return HEADER + this.bucketCount + count <= this.#words.length ? count : 0;
  }

  /** Size of the whole table, in bytes. */
  get size(): number {
    return 4 * (HEADER + this.bucketCount + this.symbolCount);
  }

  /**
   * Candidates for a hash: every index in its bucket's chain. The caller compares names. Throws ElfError for a chain
   * that loops.
   */
  candidates(hash: number): readonly number[] {
    const found: number[] = [];
    if (this.bucketCount === 0) return found;
    for (let index = this.#first(hash % this.bucketCount); index !== 0; index = this.#next(index)) {
      if (found.length > this.#words.length) throw this.#fault(`a chain loops, at symbol ${index}`);
      found.push(index);
    }
    return found;
  }

  #first(bucket: number): number {
    return this.#words[HEADER + bucket] as number;
  }

  /** The next symbol in the chain. */
  #next(index: number): number {
    const next = this.#words[HEADER + this.bucketCount + index];
    if (next === undefined) throw this.#fault(`a chain leads to symbol ${index}, beyond its segment`);
    return next;
  }

  /**
   * The symbols in the chains, each with the bucket that leads to it first: chains of two may share an end, but no chain
   * returns to an earlier symbol. Throws ElfError for a chain that loops or leaves the segment.
   */
  get members(): ReadonlyMap<number, number> {
    this.#members ??= this.#walk();
    return this.#members;
  }

  #walk(): Map<number, number> {
    const metBy = new Map<number, number>();
    for (let bucket = 0; bucket < this.bucketCount; bucket++) {
      for (let index = this.#first(bucket); index !== 0; index = this.#next(index)) {
        const before = metBy.get(index);
        if (before === bucket) throw this.#fault(`a chain loops, at symbol ${index}`);
        if (before !== undefined) break;
        metBy.set(index, bucket);
      }
    }
    return metBy;
  }

  #fault(text: string): ElfError {
    return new ElfError(this.path, "DT_HASH", text);
  }
}
