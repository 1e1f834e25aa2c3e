// What of a report goes into a picture: not every edge, and not every library, or nobody
// could read it.
//
// Who needs a library by way of another one has no edge of his own. Libraries that have
// the same neighbours, and nothing else to tell, are one figure. The shared set is one,
// too, and on each capsule's side its mirrors are. On a side with many libraries, those
// that neither clash nor lead to one that does, or to a door, are only counted.

import type { Clash } from "./clashes.ts";
import type { Item, Report, Side } from "./sides.ts";
import { merged, pruned, reduced } from "./simplify.ts";
import { sketchOf } from "./sketch.ts";

export type Kind = "asked" | "shim" | "isolated" | "mirror" | "plain" | "shared" | "missing";

/** One box of the picture, for one library or for several. */
export interface Figure {
  readonly side: Side;
  readonly kind: Kind;
  readonly names: readonly string[];
  readonly items: readonly Item[];
  /** Of its one library. */
  readonly clash: Clash | undefined;
  /** The glibc that it needs, where that is not there. */
  readonly missedGlibc: string | undefined;
}

export interface Edge {
  readonly from: Figure;
  readonly to: Figure;
  /** `door` is to what a shim or a mirror shows; `use` to what is opened when somebody is used. */
  readonly kind: "needs" | "door" | "use";
}

export interface Graph {
  readonly figures: readonly Figure[];
  readonly edges: readonly Edge[];
}

export interface Picture extends Graph {
  /** How many libraries of each side are only counted. */
  readonly leftOut: ReadonlyMap<Side, number>;
}

/** `isWhole` leaves out no library. */
export function pictureOf(report: Report, isWhole: boolean): Picture {
  const graph = merged(reduced(sketchOf(report, isWhole)));
  if (isWhole) return { ...graph, leftOut: new Map() };
  const { leftOut, ...rest } = pruned(graph);
  return { ...merged(rest), leftOut };
}
