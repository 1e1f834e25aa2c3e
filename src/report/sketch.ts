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
  const clashes = new Map(clashesOf(report).map((clash) => [clash.soname, clash]));
  /** By library, or by a key that stands for several. */
  const figures = new Map<Item | string, Figure>();
  const edges: Edge[] = [];
  const isIn = ({ when }: Pick<Item, "when">) => isWhole || when !== "later";

  const once = (key: Item | string, figure: Pick<Figure, "side" | "kind" | "names" | "items"> & Partial<Figure>) => {
    const known = figures.get(key) ?? { clash: undefined, missedGlibc: undefined, ...figure };
    figures.set(key, known);
    return known;
  };
  const draw = (from: Figure, to: Figure, kind: Edge["kind"]) => {
    if (from !== to) edges.push({ from, to, kind });
  };
  const figureOf = (item: Item): Figure => {
    const { side, name, role, soname } = item;
    if (role === "shared") return once("shared set", { side, kind: role, names: [], items: [item] });
    const kind = role === "asked" || role === "isolated" ? role : "plain";
    const found = clashes.get(soname);
    const clash = found && isIn(found) ? found : undefined;
    return once(item, { side, kind, names: [name], items: [item], clash, missedGlibc: missedGlibc(item, report) });
  };
  /** The figure for a name on a side: the library, its door, or a missing one. */
  const linked = ({ name, item, door }: Link, side: Side): Figure => {
    const root = side.host?.search.tree.root;
    if (!item)
      return once(JSON.stringify([root, "missing", name]), { side, kind: "missing", names: [name], items: [] });
    const there = figureOf(item);
    if (!door) return there;
    const names = item.role === "shared" ? [] : [item.soname];
    const figure = once(JSON.stringify([root, door, ...names]), { side, kind: door, names, items: [item] });
    draw(figure, there, "door");
    return figure;
  };

  for (const side of [report.program, ...report.capsules]) {
    for (const { link, when, openers } of side.roots) {
      if (link.fault ? when !== "start" : !isIn(link.item)) continue;
      const to = linked(link, side);
      if (when !== "start") for (const opener of openers.filter(isIn)) draw(figureOf(opener), to, "use");
    }
    for (const item of side.items) {
      if (!isIn(item) || item.role === "shared") continue;
      for (const need of item.needs) {
        const to = linked(need, side);
        // Every library needs something from the shared set.
        if (need.item?.role !== "shared") draw(figureOf(item), to, "needs");
      }
    }
  }
  return { figures: [...figures.values()], edges: unique(edges) };
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
