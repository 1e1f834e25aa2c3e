// Damage to images: the same in every run, and mostly where it decides something.

import { PT_DYNAMIC } from "../../../lib/elf/constants.ts";
import { openImage } from "../../../lib/elf/file.ts";

/** mulberry32: integers from 0 up to `below`, in an order that the seed decides. */
export function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let bits = Math.imul(state ^ (state >>> 15), 1 | state);
    bits = (bits + Math.imul(bits ^ (bits >>> 7), 61 | bits)) ^ bits;
    return ((bits ^ (bits >>> 14)) >>> 0) % below;
  };
}

export type Range = readonly [start: number, end: number];

/** What a mutation writes: the values at which a check goes one way or the other. */
const VALUES = [
  ...[0n, 1n, 2n, 7n, 8n, 16n, 24n, 0xffn, 0x1000n, 0x7fffn, 0x8000n, 0xffffn],
  ...[0x7fffffffn, 0x80000000n, 0xffffffffn, 0x100000000n, 1n << 40n, (1n << 47n) - 1n, 1n << 47n],
  ...[(1n << 53n) - 1n, 1n << 53n, (1n << 63n) - 1n, 1n << 63n, (1n << 64n) - 1n],
];

export function mutate(
  bytes: Uint8Array<ArrayBuffer>,
  ranges: readonly Range[],
  next: (below: number) => number,
): void {
  const view = new DataView(bytes.buffer);
  for (let count = 1 + next(4); count > 0; count--) {
    const [start, end] = ranges[next(ranges.length)] as Range;
    const at = start + next(end - start);
    const value = VALUES[next(VALUES.length)] as bigint;
    const word = at - (at % 8);
    switch (next(5)) {
      case 0:
        view.setUint8(at, next(256));
        break;
      case 1:
        view.setUint8(at, view.getUint8(at) ^ (1 << next(8)));
        break;
      case 2:
        if (at - (at % 4) + 4 <= bytes.length) view.setUint32(at - (at % 4), Number(value & 0xffffffffn), true);
        break;
      case 3:
        if (word + 8 <= bytes.length) view.setBigUint64(word, value, true);
        break;
      default:
        // another part of the image, in place of this one: pointers into the wrong table
        bytes.copyWithin(word, start + next(end - start), Math.min(word + 16, bytes.length));
    }
  }
}

/** Headers (twice as often), the dynamic section and the tables in front of the code. */
export function rangesOf(path: string): Range[] {
  using image = openImage(path);
  const headers: Range = [0, image.ehdr.e_phoff + 56 * image.phdrs.length];
  const dynamic = image.segment(PT_DYNAMIC);
  const [first] = image.loads;
  if (!dynamic || !first) throw new Error(`"${path}" has no segments`);
  return [headers, headers, [dynamic.p_offset, dynamic.p_offset + dynamic.p_filesz], [headers[1], first.p_filesz]];
}
