// An object's symbols for lookups: plain arrays, because linking a graphics stack takes half a million name checks. The
// tables are trusted: the caller must have had the image checked (lib/elf/check.ts).

import type { GnuHash } from "../elf/gnu-hash.ts";
import type { Image } from "../elf/image.ts";
import { Sym } from "../elf/sym.ts";
import type { SysvHash } from "../elf/sysv-hash.ts";
import { wordsOf } from "../elf/words.ts";
import { fromWords, type Value } from "./values.ts";

/** A symbol's size in words; st_info, st_other and st_shndx are in the second one. */
const SYM_WORDS = Sym.size / 4;
const INFO = 1;
const VALUE = 2;
const SIZE = 4;

/** DT_GNU_HASH; see lib/elf/gnu-hash.ts. */
export interface GnuTable {
  readonly bloom: Uint32Array;
  readonly bloomMask: number;
  readonly bloomShift: number;
  readonly buckets: Uint32Array;
  /** Hashes, indexed by the symbol's index less `symOffset`. */
  readonly chain: Uint32Array;
  readonly symOffset: number;
}

/** DT_HASH; see lib/elf/sysv-hash.ts. */
interface SysvTable {
  readonly buckets: Uint32Array;
  readonly chain: Uint32Array;
}

export class SymbolTables {
  readonly #words: Uint32Array;
  readonly strings: Uint8Array;
  /** Version indexes with their hidden bits; undefined if the object has no versions. */
  readonly versym: Uint16Array | undefined;
  /** Version names by index: those that the object defines (except its own name) and those that it needs. */
  readonly versions: readonly (string | undefined)[];
  readonly gnu: GnuTable | undefined;
  readonly sysv: SysvTable | undefined;
  readonly count: number;

  /** Throws ElfError. */
  constructor(image: Image) {
    const { symbols, versym, gnuHash, sysvHash } = image;
    this.count = symbols.length;
    this.#words = wordsOf(symbols.view);
    this.strings = image.strings.bytes;
    this.versym = versym && halvesOf(versym.view);
    const versions: (string | undefined)[] = [];
    for (const { index, name } of image.verneeds) versions[index] = name;
    for (const { index, name, isBase } of image.verdefs) if (!isBase) versions[index] = name;
    this.versions = versions;
    // ld.so prefers DT_GNU_HASH if both exist, and finds nothing in a table without buckets.
    this.gnu = gnuHash && gnuHash.bucketCount > 0 ? gnuTable(gnuHash) : undefined;
    this.sysv = !gnuHash && sysvHash && sysvHash.bucketCount > 0 ? sysvTable(sysvHash) : undefined;
  }

  nameAt(symbol: number): number {
    return this.#words[symbol * SYM_WORDS] as number;
  }
  type(symbol: number): number {
    return (this.#words[symbol * SYM_WORDS + INFO] as number) & 15;
  }
  binding(symbol: number): number {
    return ((this.#words[symbol * SYM_WORDS + INFO] as number) >>> 4) & 15;
  }
  visibility(symbol: number): number {
    return ((this.#words[symbol * SYM_WORDS + INFO] as number) >>> 8) & 3;
  }
  section(symbol: number): number {
    return (this.#words[symbol * SYM_WORDS + INFO] as number) >>> 16;
  }
  /** A vaddr, or the absolute value if SHN_ABS. */
  value(symbol: number): Value {
    const at = symbol * SYM_WORDS + VALUE;
    return fromWords(this.#words[at] as number, (this.#words[at + 1] as number) | 0);
  }
  /** In bytes. */
  size(symbol: number): Value {
    const at = symbol * SYM_WORDS + SIZE;
    return fromWords(this.#words[at] as number, (this.#words[at + 1] as number) | 0);
  }
  hasValue(symbol: number): boolean {
    const at = symbol * SYM_WORDS + VALUE;
    return (this.#words[at] as number) !== 0 || (this.#words[at + 1] as number) !== 0;
  }

  /** A symbol's own version, or the required one if the symbol is undefined; undefined if there is none. */
  versionOf(symbol: number): string | undefined {
    return this.versym && this.versions[(this.versym[symbol] as number) & 0x7fff];
  }
}

function gnuTable(hash: GnuHash): GnuTable {
  const words = wordsOf(hash.view, hash.size);
  const [bucketCount = 0, symOffset = 0, bloomSize = 0, bloomShift = 0] = words;
  const buckets = 4 + 2 * bloomSize;
  return {
    bloom: words.subarray(4, buckets),
    bloomMask: bloomSize - 1,
    bloomShift,
    buckets: words.subarray(buckets, buckets + bucketCount),
    chain: words.subarray(buckets + bucketCount),
    symOffset,
  };
}

function sysvTable(hash: SysvHash): SysvTable {
  const words = wordsOf(hash.view, hash.size);
  return { buckets: words.subarray(2, 2 + hash.bucketCount), chain: words.subarray(2 + hash.bucketCount) };
}

function halvesOf({ buffer, byteOffset, byteLength }: DataView): Uint16Array {
  if (byteOffset % 2 === 0) return new Uint16Array(buffer, byteOffset, byteLength / 2);
  return new Uint16Array(buffer.slice(byteOffset, byteOffset + byteLength));
}
