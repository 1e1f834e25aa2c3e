// The boxes of a picture, and the arrows between them.

import type { Clash } from "./clashes.ts";
import type { Item, Side } from "./item.ts";

export type Kind = "asked" | "shim" | "isolated" | "mirror" | "plain" | "shared" | "missing";

/** One box, for one library or several. */
export interface Figure {
  readonly side: Side;
  readonly kind: Kind;
  readonly names: readonly string[];
  readonly items: readonly Item[];
  /** The clash of its only library. */
  readonly clash: Clash | undefined;
  /** The glibc version that it needs, if the chosen one is older. */
  readonly missedGlibc: string | undefined;
}

export interface Edge {
  readonly from: Figure;
  readonly to: Figure;
  /** `door` leads to what a shim or a mirror shows, `use` to what is opened when a library is used. */
  readonly kind: "needs" | "door" | "use";
}

export interface Graph {
  readonly figures: readonly Figure[];
  readonly edges: readonly Edge[];
}

export interface Picture extends Graph {
  /** For each side, how many libraries are not drawn, only counted. */
  readonly leftOut: ReadonlyMap<Side, number>;
}
