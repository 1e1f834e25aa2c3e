// Selects what of a report goes into a picture: not every edge or library, to keep it readable.
//
// A dependency that is also reached indirectly gets no edge. Libraries with the same neighbors and no other distinction
// are merged into one figure, as are the shared set and its mirrors on each capsule's side. On a side with many
// libraries, those that neither clash nor lead to a clash or a door are only counted.

import type { Report, Side } from "./item.ts";
import { type Figure, type Graph, sketchOf, unique } from "./sketch.ts";

export interface Picture extends Graph {
  /** For each side, how many libraries are not drawn, only counted. */
  readonly leftOut: ReadonlyMap<Side, number>;
}

/** `isWhole` keeps all libraries. */
export function pictureOf(report: Report, isWhole: boolean): Picture {
  const graph = merged(reduced(sketchOf(report, isWhole)));
  if (isWhole) return { ...graph, leftOut: new Map() };
  const { leftOut, ...rest } = pruned(graph);
  return { ...merged(rest), leftOut };
}

/** On a side with more figures than these, uninteresting ones are left out. */
const MOST_FIGURES = 40;

/** Removes edges to figures that are also reached indirectly. Edges are tested one by one, so a cycle keeps some. */
function reduced({ figures, edges }: Graph): Graph {
  const below = new Map(figures.map((figure) => [figure, new Set<Figure>()]));
  for (const { from, to } of edges) below.get(from)?.add(to);
  const isReached = (start: Figure, end: Figure): boolean => {
    const seen = new Set([start]);
    for (const figure of seen) {
      if (figure === end) return true;
      for (const next of below.get(figure) ?? []) seen.add(next);
    }
    return false;
  };
  const needed = edges.filter(({ from, to, kind }) => {
    const others = below.get(from);
    if (!others || kind === "door") return true;
    others.delete(to);
    if ([...others].some((other) => isReached(other, to))) return false;
    others.add(to);
    return true;
  });
  return { figures, edges: needed };
}

/** Merges figures that have the same neighbors. */
function merged({ figures, edges }: Graph): Graph {
  const numbers = new Map(figures.map((figure, i) => [figure, i]));
  const around = new Map(figures.map((figure) => [figure, [] as string[]]));
  for (const { from, to, kind } of edges) {
    around.get(from)?.push(`${kind} to ${numbers.get(to)}`);
    around.get(to)?.push(`${kind} from ${numbers.get(from)}`);
  }
  const lookOf = (figure: Figure) =>
    !isOfNote(figure) && figure.kind === "plain" ? `${figure.side.tree} ${around.get(figure)?.sort().join()}` : figure;
  const now = new Map<Figure, Figure>();
  for (const group of Map.groupBy(figures, lookOf).values()) {
    const [first] = group;
    if (!first) continue;
    const one = { ...first, names: group.flatMap(({ names }) => names), items: group.flatMap(({ items }) => items) };
    for (const figure of group) now.set(figure, group.length === 1 ? figure : one);
  }
  const there = (figure: Figure) => now.get(figure) ?? figure;
  return {
    figures: [...new Set(now.values())],
    edges: unique(edges.map((edge) => ({ ...edge, from: there(edge.from), to: there(edge.to) }))),
  };
}

/** Leaves out uninteresting figures on sides with many. */
function pruned({ figures, edges }: Graph): Picture {
  const interesting = interestingOf({ figures, edges });
  const leftOut = new Map<Side, number>();
  const kept = [...Map.groupBy(figures, ({ side }) => side)].flatMap(([side, all]) => {
    const some = all.length > MOST_FIGURES ? all.filter((figure) => interesting.has(figure)) : all;
    const countOf = (list: readonly Figure[]) => list.reduce((sum, { names }) => sum + names.length, 0);
    if (some.length < all.length) leftOut.set(side, countOf(all) - countOf(some));
    return some;
  });
  const isKept = new Set(kept);
  return { figures: kept, edges: edges.filter(({ from, to }) => isKept.has(from) && isKept.has(to)), leftOut };
}

/**
 * Figures that clash or are more than a plain library of their own side, and all figures that lead to them. On a side
 * without any, what the program itself needs.
 */
function interestingOf({ figures, edges }: Graph): Set<Figure> {
  const sides = new Set(figures.filter(isOfNote).map(({ side }) => side));
  const interesting = new Set(figures.filter((figure) => isOfNote(figure) || figure.kind !== "plain"));
  const above = Map.groupBy(edges, ({ to }) => to);
  // The set grows during the iteration.
  for (const figure of interesting) for (const { from } of above.get(figure) ?? []) interesting.add(from);
  for (const { from, to } of edges) if (from.kind === "asked" && !sides.has(from.side)) interesting.add(to);
  return interesting;
}

const isOfNote = ({ kind, clash, missedGlibc }: Figure): boolean =>
  clash !== undefined || missedGlibc !== undefined || (kind !== "plain" && kind !== "asked" && kind !== "shared");
