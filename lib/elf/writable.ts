// Where ld.so may write when it relocates an image.

import { alignUp, PAGE_SIZE, toVaddr } from "../memory/numbers.ts";
import * as elf from "./constants.ts";
import { Dyn } from "./dyn.ts";
import type { Image } from "./image.ts";
import { type PageRange, type Piece, pieceAt } from "./phdr.ts";
import { Sym } from "./sym.ts";

export class Writable {
  /** The tables that ld.so still reads then. */
  readonly #tables: PageRange[];
  /** Read-only segments are writable meanwhile (DT_TEXTREL). */
  readonly #hasTextRelocations: boolean;

  /** Throws ElfError. */
  constructor(readonly image: Image) {
    const { dynamic } = image;
    this.#hasTextRelocations =
      dynamic.get(elf.DT_TEXTREL) !== undefined || ((dynamic.get(elf.DT_FLAGS) ?? 0) & elf.DF_TEXTREL) !== 0;
    this.#tables = [...tablesOf(image)];
  }

  /** The writable neighbourhood of `length` bytes; undefined if they are not writable. */
  around(vaddr: number, length: number): PageRange | undefined {
    const piece = pieceAt(this.image.loads, vaddr);
    let [start, end] = [piece?.start ?? 0, this.#endOf(piece)];
    for (const table of this.#tables) {
      if (vaddr < table.start) end = Math.min(end, table.start);
      else start = Math.max(start, table.end);
    }
    return vaddr >= start && vaddr + length <= end ? { start: toVaddr(start), end: toVaddr(end) } : undefined;
  }

  #endOf(piece: Piece | undefined): number {
    if (!piece) return 0;
    const { p_flags, p_vaddr, p_filesz } = piece.load;
    if (p_flags & elf.PF_W) return piece.end;
    return this.#hasTextRelocations ? Math.min(piece.end, alignUp(p_vaddr + p_filesz, PAGE_SIZE)) : 0;
  }
}

function* tablesOf(image: Image): Generator<PageRange> {
  const { dynamic, dynamicAt, symbols, strings, gnuHash, sysvHash } = image;
  const range = (at: number, size: number): PageRange => ({ start: toVaddr(at), end: toVaddr(at + size) });
  yield range(dynamicAt, Dyn.size * (dynamic.entries.length + 1));
  const sizes: [tag: number, size: number | undefined][] = [
    [elf.DT_SYMTAB, Sym.size * symbols.length],
    [elf.DT_STRTAB, strings.size],
    [elf.DT_VERSYM, 2 * symbols.length],
    [elf.DT_RELA, dynamic.get(elf.DT_RELASZ)],
    [elf.DT_JMPREL, dynamic.get(elf.DT_PLTRELSZ)],
    [elf.DT_RELR, dynamic.get(elf.DT_RELRSZ)],
    [elf.DT_GNU_HASH, gnuHash?.size],
    [elf.DT_HASH, gnuHash ? 0 : sysvHash?.size],
  ];
  for (const [tag, size = 0] of sizes) {
    const at = dynamic.get(tag);
    if (at !== undefined && size > 0) yield range(at, size);
  }
}
