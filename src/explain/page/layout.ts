// The layout of the memory map: on the left a strip with one scale for all objects, in which only large unmapped gaps
// are shortened. Beside it, a row for each object at a scale of its own, so that one of 16 KiB can be compared with one
// of 100 MiB.

import type { ExplainedObject } from "../explanation.ts";

interface MapLayout {
  readonly height: number;
  readonly rows: readonly MapRow[];
  readonly gaps: readonly MapGap[];
}

/** In pixels from the top. `from` and `to` are positions in the strip. */
interface Band {
  readonly y: number;
  readonly from: number;
  readonly to: number;
}

export type MapRow = Band & { readonly object: ExplainedObject };
export type MapGap = Band & { readonly bytes: number };

export const ROW = 44;
const GAP_ROW = 26;
const GAP_IN_STRIP = 16;
/** An unmapped gap is shortened if it is larger than this fraction of what is mapped. */
const CUT = 1 / 4;

export function mapLayout(objects: readonly ExplainedObject[]): MapLayout {
  const sorted = objects.toSorted((one, other) => Number(one.start) - Number(other.start));
  const mapped = sorted.reduce((sum, { start, end }) => sum + Number(end) - Number(start), 0);
  const isCut = (gap: number): boolean => gap > mapped * CUT;

  const gapBytes = sorted.map(({ start }, at) => Math.max(0, Number(start) - Number(sorted[at - 1]?.end ?? start)));
  const cuts = gapBytes.filter(isCut).length;
  const height = sorted.length * ROW + cuts * GAP_ROW;
  const drawn = mapped + gapBytes.reduce((sum, gap) => sum + (isCut(gap) ? 0 : gap), 0);
  const pixels = (bytes: number): number => (drawn === 0 ? 0 : (bytes / drawn) * (height - cuts * GAP_IN_STRIP));

  const rows: MapRow[] = [];
  const gaps: MapGap[] = [];
  let y = 0;
  let strip = 0;
  for (const [at, object] of sorted.entries()) {
    const bytes = gapBytes[at] ?? 0;
    if (isCut(bytes)) {
      gaps.push({ bytes, y, from: strip, to: strip + GAP_IN_STRIP });
      y += GAP_ROW;
      strip += GAP_IN_STRIP;
    } else strip += pixels(bytes);
    const to = strip + pixels(Number(object.end) - Number(object.start));
    rows.push({ object, y, from: strip, to });
    y += ROW;
    strip = to;
  }
  return { height, rows, gaps };
}
