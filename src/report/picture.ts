// What of a report goes into a picture: not every edge, and not every library, or nobody
// could read it.
//
// Who needs a library by way of another one has no edge of his own. Libraries that have
// the same neighbours, and nothing else to tell, are one figure. The shared set is one,
// too, and on each capsule's side its mirrors are. On a side with many libraries, those
// that neither clash nor lead to one that does, or to a door, are only counted.

import type { Picture } from "./figure.ts";
import type { Report } from "./item.ts";
import { merged, pruned, reduced } from "./simplify.ts";
import { sketchOf } from "./sketch.ts";

/** `isWhole` leaves out no library. */
export function pictureOf(report: Report, isWhole: boolean): Picture {
  const graph = merged(reduced(sketchOf(report, isWhole)));
  if (isWhole) return { ...graph, leftOut: new Map() };
  const { leftOut, ...rest } = pruned(graph);
  return { ...merged(rest), leftOut };
}
