// Static TLS, variant II (Drepper, "ELF Handling For Thread-Local Storage"; glibc
// 2.36, _dl_determine_tlsoffset): all blocks lie below the thread pointer, the
// program's next to it, each at an address that is congruent with its p_vaddr. A block
// that fits into the gap which an earlier one's alignment has left goes there.

import { ElfError } from "../elf/error.ts";
import { add, alignUp, toAddress } from "../memory/numbers.ts";
import type { OpenObject, Placed, TlsBlock } from "./objects.ts";

/** In bytes; a file can claim any. */
const LARGEST_BLOCK = 2 ** 40;

/** PT_TLS, as far as it matters here. */
interface TlsSegment {
  readonly p_vaddr: number;
  readonly p_memsz: number;
  readonly p_align: number;
}

export interface TlsLayout {
  /** How far below the thread pointer each segment's block begins. */
  readonly offsets: readonly number[];
  /**
   * From the first byte of the lowest block to the thread pointer, and what the thread pointer has to be a multiple of,
   * in bytes.
   */
  readonly size: number;
  readonly alignment: number;
}

export function layOutTls(segments: readonly TlsSegment[]): TlsLayout {
  let size = 0;
  // The gap, both ends as distances from the thread pointer.
  let gapTop = 0;
  let gapBottom = 0;
  let largest = 1;
  const offsets = segments.map(({ p_vaddr, p_memsz, p_align }) => {
    const alignment = Math.max(p_align, 1);
    // What the block's first byte is away from a multiple of the alignment, seen from above.
    const first = (alignment - (p_vaddr % alignment)) % alignment;
    largest = Math.max(largest, alignment);
    const below = (top: number): number => alignUp(Math.max(0, top + p_memsz - first), alignment) + first;
    if (gapBottom - gapTop >= p_memsz) {
      const offset = below(gapTop);
      if (offset <= gapBottom) {
        gapTop = offset;
        return offset;
      }
    }
    const offset = below(size);
    if (offset > size + p_memsz + (gapBottom - gapTop)) {
      gapTop = size;
      gapBottom = offset - p_memsz;
    }
    size = offset;
    return offset;
  });
  return { offsets, size, alignment: largest };
}

/**
 * The blocks of objects that have any, by the object's index, and all together. Modules are numbered in the order of
 * the link map. Throws ElfError.
 */
export function blocksOf(objects: readonly (OpenObject & Placed)[]): {
  blocks: (TlsBlock | undefined)[];
  layout: TlsLayout;
} {
  const segments = objects.flatMap(({ image: { tls, path }, index }) => {
    if (!tls || tls.p_memsz === 0) return [];
    if (!(tls.p_memsz < LARGEST_BLOCK && tls.p_align < LARGEST_BLOCK && tls.p_vaddr < Number.MAX_SAFE_INTEGER))
      throw new ElfError(path, "PT_TLS", `there is no memory for a block of ${tls.p_memsz} bytes in each thread`);
    return [{ tls, index }];
  });
  const layout = layOutTls(segments.map(({ tls }) => tls));
  const blocks: (TlsBlock | undefined)[] = objects.map(() => undefined);
  for (const [i, { tls, index }] of segments.entries())
    blocks[index] = {
      module: i + 1,
      offset: layout.offsets[i] ?? 0,
      size: tls.p_memsz,
      fileSize: tls.p_filesz,
      alignment: Math.max(tls.p_align, 1),
      image: add(objects[index]?.loadBias ?? toAddress(0), tls.p_vaddr),
    };
  return { blocks, layout };
}
