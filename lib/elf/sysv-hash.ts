// DT_HASH (gABI, "Hash Table"): nbucket | nchain | bucket[nbucket] | chain[nchain]. nchain is also the number of
// symbols.

import { ElfError } from "./error.ts";

export function sysvHash(name: Uint8Array): number {
  let hash = 0;
  for (const byte of name) {
    hash = ((hash << 4) + byte) >>> 0;
    const high = hash & 0xf0000000;
    hash = ((hash ^ (high >>> 24)) & ~high) >>> 0;
  }
  return hash;
}

export class SysvHash {
  readonly bucketCount: number;
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
    if (view.byteLength < HEADER) throw new ElfError(path, "DT_HASH", "its segment ends within its header");
    this.bucketCount = view.getUint32(0, true);
    if (HEADER + 4 * this.bucketCount > view.byteLength)
      throw new ElfError(path, "DT_HASH", `${this.bucketCount} buckets reach beyond its segment`);
  }

  /**
   * Number of symbols in the symbol table, as far as this table shows: nchain, which no loader reads, or more if chains
   * go further. Throws ElfError for a chain that loops or leaves the segment.
   */
  get symbolCount(): number {
    this.#chainCount ??= Math.max(this.isPassedOver ? 0 : this.#walk(), this.declaredCount);
    return this.#chainCount;
  }

  /** nchain; 0 if that many do not fit in the segment. */
  get declaredCount(): number {
    const count = this.view.getUint32(4, true);
    return HEADER + 4 * (this.bucketCount + count) <= this.view.byteLength ? count : 0;
  }

  /** Size of the whole table, in bytes. */
  get size(): number {
    return HEADER + 4 * (this.bucketCount + this.symbolCount);
  }

  /**
   * Candidates for a hash: every index in its bucket's chain. The caller compares names. Throws ElfError for a chain
   * that loops.
   */
  *candidates(hash: number): Generator<number> {
    if (this.bucketCount === 0) return;
    let index = this.view.getUint32(HEADER + 4 * (hash % this.bucketCount), true);
    for (let steps = 0; index !== 0; steps++) {
      const next = this.#next(index);
      if (steps > this.view.byteLength / 4)
        throw new ElfError(this.path, "DT_HASH", `a chain loops, at symbol ${index}`);
      yield index;
      index = next;
    }
  }

  /** The next symbol in the chain. */
  #next(index: number): number {
    const at = HEADER + 4 * (this.bucketCount + index);
    if (at + 4 > this.view.byteLength)
      throw new ElfError(this.path, "DT_HASH", `a chain leads to symbol ${index}, beyond its segment`);
    return this.view.getUint32(at, true);
  }

  /**
   * The highest symbol index in any chain, plus one. Each symbol is visited once: chains of two buckets may share an
   * end, but no chain returns to an earlier symbol.
   */
  #walk(): number {
    const metBy = new Map<number, number>();
    let count = 0;
    for (let bucket = 0; bucket < this.bucketCount; bucket++) {
      let index = this.view.getUint32(HEADER + 4 * bucket, true);
      while (index !== 0) {
        const before = metBy.get(index);
        if (before === bucket) throw new ElfError(this.path, "DT_HASH", `a chain loops, at symbol ${index}`);
        if (before !== undefined) break;
        metBy.set(index, bucket);
        count = Math.max(count, index + 1);
        index = this.#next(index);
      }
    }
    return count;
  }
}

/** In bytes. */
const HEADER = 8;
