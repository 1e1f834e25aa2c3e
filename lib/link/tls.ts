// Static TLS, variant II (Drepper, "ELF Handling For Thread-Local Storage"; glibc 2.36, _dl_determine_tlsoffset): all
// blocks lie below the thread pointer, the program's next to it, each at an address congruent to its p_vaddr. A block
// that fits the gap left by an earlier one's alignment goes there.

import { ElfError } from "../elf/error.ts";
import { add, alignUp, toAddress } from "../memory/numbers.ts";
import type { OpenObject, Placed, TlsBlock } from "./objects.ts";

/** In bytes; a file can claim any size. */
const LARGEST_BLOCK = 2 ** 40;

/** The fields of PT_TLS that matter here. */
type TlsSegment = Readonly<Record<"p_vaddr" | "p_memsz" | "p_align", number>>;

export interface TlsLayout {
  /** Each segment's block start, in bytes below the thread pointer. */
  readonly offsets: readonly number[];
  /** In bytes: from the first byte of the lowest block to the thread pointer, and the thread pointer's alignment. */
  readonly size: number;
  readonly alignment: number;
}

export function layOutTls(segments: readonly TlsSegment[]): TlsLayout {
  let size = 0;
  // The gap's ends, as distances from the thread pointer.
  let gapTop = 0;
  let gapBottom = 0;
  let largest = 1;
  const offsets = segments.map(({ p_vaddr, p_memsz, p_align }) => {
    const alignment = Math.max(p_align, 1);
    // The distance from the block's first byte up to the next multiple of the alignment.
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

/** The blocks, by object index, and their layout. Modules are numbered in link map order. Throws ElfError. */
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
