// DT_HASH (gABI, "Hash Table"): nbucket | nchain | bucket[nbucket] | chain[nchain].
// nchain is also the number of symbols.

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
  /** How many symbols the symbol table has. */
  readonly symbolCount: number;

  /** `view` begins at the table and reaches as far as its segment does. */
  constructor(
    readonly path: string,
    readonly view: DataView,
  ) {
    if (view.byteLength < 8) throw new ElfError(path, "DT_HASH", "its segment ends within its header");
    this.bucketCount = view.getUint32(0, true);
    this.symbolCount = view.getUint32(4, true);
    if (8 + 4 * (this.bucketCount + this.symbolCount) > view.byteLength)
      throw new ElfError(
        path,
        "DT_HASH",
        `${this.bucketCount} buckets and ${this.symbolCount} symbols reach beyond its segment`,
      );
  }

  /** Of the whole table, in bytes. */
  get size(): number {
    return 8 + 4 * (this.bucketCount + this.symbolCount);
  }

  /**
   * Candidates for a hash: every index in its bucket's chain. The name is the caller's to compare. Throws ElfError for
   * a chain that loops.
   */
  *candidates(hash: number): Generator<number> {
    if (this.bucketCount === 0) return;
    let index = this.view.getUint32(8 + 4 * (hash % this.bucketCount), true);
    for (let steps = 0; index !== 0; steps++) {
      if (index >= this.symbolCount || steps >= this.symbolCount)
        throw new ElfError(this.path, "DT_HASH", `a chain ${steps ? "loops or " : ""}leads to symbol ${index}`);
      yield index;
      index = this.view.getUint32(8 + 4 * (this.bucketCount + index), true);
    }
  }
}
