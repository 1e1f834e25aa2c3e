// A report as figures and edges, with nothing merged or reduced.

import { type Clash, clashesOf } from "./clashes.ts";
import type { Item, Link, Report, Side } from "./item.ts";
import { missedGlibc } from "./words.ts";

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

/** Without libraries that are opened later, unless `isWhole`. */
export function sketchOf(report: Report, isWhole: boolean): Graph {
  const sketch = new Sketch(report, isWhole);
  for (const side of [report.program, ...report.capsules]) sketch.add(side);
  return { figures: [...sketch.figures.values()], edges: unique(sketch.edges) };
}

class Sketch {
  /** By library, or by a key that stands for several. */
  readonly figures = new Map<Item | string, Figure>();
  readonly edges: Edge[] = [];
  readonly #clashes: ReadonlyMap<string, Clash>;

  constructor(
    readonly report: Report,
    readonly isWhole: boolean,
  ) {
    const clashes = clashesOf(report).filter(({ when }) => isWhole || when !== "later");
    this.#clashes = new Map(clashes.map((clash) => [clash.soname, clash]));
  }

  add(side: Side): void {
    for (const { link, when, openers } of side.roots) {
      if (link.fault ? when !== "start" : !this.#isIn(link.item)) continue;
      const to = this.#figureOf(link, side);
      if (when !== "start")
        for (const opener of openers) if (this.#isIn(opener)) this.#edge(this.#figure(opener), to, "use");
    }
    for (const item of side.items) {
      if (!this.#isIn(item) || item.role === "shared") continue;
      for (const need of item.needs) {
        const to = this.#figureOf(need, side);
        // Every library needs something from the shared set.
        if (need.item?.role !== "shared") this.#edge(this.#figure(item), to, "needs");
      }
    }
  }

  #isIn = ({ when }: Item): boolean => this.isWhole || when !== "later";

  /** The figure for a name on a side: the library, its door, or a missing one. */
  #figureOf(link: Link, side: Side): Figure {
    const root = side.host?.search.tree.root;
    if (link.fault) {
      const { name } = link;
      return this.#once(JSON.stringify([root, "missing", name]), { side, kind: "missing", names: [name], items: [] });
    }
    const { item, door } = link;
    const there = this.#figure(item);
    if (!door) return there;
    const [kind, names] = [door, item.role === "shared" ? [] : [item.soname]];
    const figure = this.#once(JSON.stringify([root, kind, ...names]), { side, kind, names, items: [item] });
    this.#edge(figure, there, "door");
    return figure;
  }

  #figure(item: Item): Figure {
    const { side, name, role, soname } = item;
    if (role === "shared") return this.#once("shared set", { side, kind: role, names: [], items: [item] });
    const kind = role === "asked" || role === "isolated" ? role : "plain";
    const clash = this.#clashes.get(soname);
    const glibc = missedGlibc(item, this.report);
    return this.#once(item, { side, kind, names: [name], items: [item], clash, missedGlibc: glibc });
  }

  #once(key: Item | string, figure: Pick<Figure, "side" | "kind" | "names" | "items"> & Partial<Figure>): Figure {
    const known = this.figures.get(key);
    if (known) return known;
    const made = { clash: undefined, missedGlibc: undefined, ...figure };
    this.figures.set(key, made);
    return made;
  }

  #edge(from: Figure, to: Figure, kind: Edge["kind"]): void {
    if (from !== to) this.edges.push({ from, to, kind });
  }
}

/** Keeps the first edge between any two figures. */
export function unique(edges: readonly Edge[]): Edge[] {
  const seen = new Map<Figure, Set<Figure>>();
  return edges.filter(({ from, to }) => {
    const others = seen.get(from) ?? new Set();
    seen.set(from, others);
    return !others.has(to) && others.add(to);
  });
}
