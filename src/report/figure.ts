// The boxes of a picture, and the arrows between them.

import type { Clash } from "./clashes.ts";
import type { Item, Side } from "./item.ts";

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
