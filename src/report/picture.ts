// Selects what of a report goes into a picture: not every edge or library, to keep it readable.
//
// A dependency that is also reached indirectly gets no edge. Libraries with the same neighbors and no other distinction
// are merged into one figure, as are the shared set and its mirrors on each capsule's side. On a side with many
// libraries, those that neither clash nor lead to a clash or a door are only counted.

import type { Picture } from "./figure.ts";
import type { Report } from "./item.ts";
import { merged, pruned, reduced } from "./simplify.ts";
import { sketchOf } from "./sketch.ts";

/** `isWhole` keeps all libraries. */
export function pictureOf(report: Report, isWhole: boolean): Picture {
  const graph = merged(reduced(sketchOf(report, isWhole)));
  if (isWhole) return { ...graph, leftOut: new Map() };
  const { leftOut, ...rest } = pruned(graph);
  return { ...merged(rest), leftOut };
}
