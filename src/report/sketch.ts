// A report as figures and edges, with nothing merged or reduced.

import { type Clash, clashesOf } from "./clashes.ts";
import type { Edge, Figure, Graph } from "./figure.ts";
import { type Item, isMissing, type Link, type Report, type Side } from "./item.ts";
import { unique } from "./simplify.ts";
import { missedGlibc } from "./words.ts";

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
      if (isMissing(link) ? when !== "start" : !this.#isIn(link.item)) continue;
      const to = this.#figureOf(link, side);
      if (when !== "start")
        for (const opener of openers) if (this.#isIn(opener)) this.#edge(this.#figure(opener), to, "use");
    }
    for (const item of side.items) {
      if (!this.#isIn(item) || item.role === "shared") continue;
      for (const need of item.needs) {
        const to = this.#figureOf(need, side);
        // Every library needs something from the shared set.
        if (isMissing(need) || need.item.role !== "shared") this.#edge(this.#figure(item), to, "needs");
      }
    }
  }

  #isIn = ({ when }: Item): boolean => this.isWhole || when !== "later";

  /** The figure for a name on a side: the library, its door, or a missing one. */
  #figureOf(link: Link, side: Side): Figure {
    const root = side.host?.search.tree.root;
    if (isMissing(link)) {
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
