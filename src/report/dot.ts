// A picture in Graphviz's language (DOT): one box per namespace, stacked, with the doors between them.

import { basename } from "node:path";
import { printable } from "../diagnostics/output.ts";
import type { Clash } from "./clashes.ts";
import type { Item, Report, Side } from "./item.ts";
import type { Picture } from "./picture.ts";
import type { Edge, Figure, Kind } from "./sketch.ts";
import { versionIn } from "./version-in.ts";

type Attributes = Readonly<Record<string, string | number>>;

const INK = "#343a40";
const GREY = "#868e96";
const DOOR = "#7048e8";
const CLASH = "#e8590c";
/** Graphviz knows this font's metrics, and adds sans-serif as a fallback. */
const FONT = "Helvetica";

const LOOKS: Readonly<Record<Kind, Attributes>> = {
  asked: { fillcolor: INK, color: INK, fontcolor: "white" },
  plain: { fillcolor: "white", color: "#adb5bd" },
  isolated: { fillcolor: "#e5dbff", color: DOOR },
  shim: { fillcolor: "white", color: DOOR, fontcolor: DOOR, style: "rounded,filled,dashed" },
  mirror: { fillcolor: "white", color: GREY, fontcolor: GREY, style: "rounded,filled,dashed" },
  shared: { fillcolor: "#f1f3f5", color: GREY, fontcolor: GREY },
  missing: { fillcolor: "#ffe3e3", color: "#e03131", fontcolor: "#e03131" },
};
const EDGES: Readonly<Record<Edge["kind"], Attributes>> = {
  needs: { color: GREY },
  door: { color: DOOR, penwidth: 2, arrowhead: "none" },
  use: { color: GREY, style: "dashed" },
};

/** The most names that one figure lists. The rest are counted. */
const MOST_NAMES = 12;

export function dotOf({ figures, edges, leftOut }: Picture, report: Report): string {
  const ids = new Map(figures.map((figure, i) => [figure, `n${i}`]));
  const node = (figure: Figure) =>
    `    ${ids.get(figure)} ${list({ ...lookOf(figure), label: labelOf(figure, report), tooltip: tipOf(figure) })}`;
  const box = (side: Side, i: number): string[] => {
    const nodes = figures.filter((figure) => figure.side === side).map(node);
    return [
      `  subgraph cluster_${i} ${"{"}`,
      `    ${Object.entries(boxOf(side, leftOut.get(side)))
        .map(pair)
        .join("; ")}`,
      ...(nodes.length > 0 ? nodes : [`    empty${i} ${list(EMPTY)}`]),
      "  }",
    ];
  };
  // A mirror stands above the capsule that needs it, so the edge is reversed.
  const edge = ({ from, to, kind }: Edge) => {
    const [one, other] = (from.kind === "mirror" ? [to, from] : [from, to]).map((figure) => ids.get(figure));
    return `  ${one} -> ${other} ${list({ ...EDGES[kind], ...(from.kind === "mirror" ? { minlen: 2 } : {}) })}`;
  };
  const lines = [
    "digraph capsule {",
    `  graph ${list({ fontname: FONT, fontsize: 11, nodesep: 0.15, ranksep: 0.35, newrank: "true", labelloc: "b", fontcolor: INK })}`,
    `  label=${legendOf(figures, edges)}`,
    `  node ${list({ fontname: FONT, fontsize: 12, shape: "box", style: "rounded,filled", height: 0.3, margin: "0.1,0.05", fontcolor: INK })}`,
    `  edge ${list({ arrowsize: 0.6 })}`,
    ...[report.program, ...report.capsules].flatMap(box),
    ...edges.map(edge),
    "}",
  ];
  return `${lines.join("\n")}\n`;
}

/** Graphviz does not draw an empty box. */
const EMPTY: Attributes = { shape: "plain", style: "", fontcolor: GREY, label: "nothing, unless the program opens it" };

/** A legend for the looks that occur, as an HTML-like label. */
function legendOf(figures: readonly Figure[], edges: readonly Edge[]): string {
  const meanings: [isThere: boolean, look: Attributes, meaning: string][] = [
    [figures.some(({ clash }) => clash?.isApart), APART, "clash: each side keeps a file of its own"],
    [figures.some(({ clash }) => clash && !clash.isApart), REPLACED, "in the place of the program's own file"],
    [figures.some(({ kind }) => kind === "isolated"), LOOKS.isolated, "isolated: the program sees it, too"],
  ];
  const cells = meanings.flatMap(([isThere, { fillcolor, color = GREY }, meaning]) =>
    isThere
      ? [`<td border="1" style="rounded" color="${color}" bgcolor="${fillcolor ?? "white"}">${meaning}</td>`]
      : [],
  );
  if (edges.some(({ kind }) => kind === "door"))
    cells.push(`<td><font color="${DOOR}"><b>\u2501\u2501</b></font> door: a shim, a mirror</td>`);
  if (edges.some(({ kind }) => kind === "use")) cells.push("<td>\u2504\u2504 opened when used (a guess)</td>");
  if (cells.length === 0) return '""';
  const first = cells.length > 4 ? 3 : 4;
  const rows = [cells.slice(0, first), cells.slice(first)].filter((row) => row.length > 0);
  const table = (row: readonly string[]) =>
    `<tr><td><table border="0" cellspacing="6" cellpadding="4"><tr>${row.join("")}</tr></table></td></tr>`;
  return `<<table border="0" cellspacing="0">${rows.map(table).join("")}</table>>`;
}

const boxOf = ({ host, tree }: Side, leftOut = 0): Attributes => {
  const more = leftOut > 0 ? `, and ${leftOut} more libraries` : "";
  return {
    label: text(`${host ? `capsule: ${tree}` : `the program's side: ${tree}`}${more}`),
    labeljust: "l",
    labelloc: "t",
    style: "rounded,filled",
    color: host ? DOOR : GREY,
    fillcolor: host ? "#f8f5ff" : "#f8f9fa",
    fontcolor: host ? DOOR : INK,
    fontsize: 14,
    margin: 12,
  };
};

const APART: Attributes = { fillcolor: "#ffd8a8", color: CLASH, penwidth: 2 };
const REPLACED: Attributes = { color: CLASH };

const lookOf = ({ kind, clash, missedGlibc }: Figure): Attributes => ({
  ...LOOKS[missedGlibc === undefined ? kind : "missing"],
  ...(clash ? (clash.isApart ? APART : REPLACED) : {}),
});

/** The name, with the version if that matters. */
function labelOf({ kind, names, items, clash, missedGlibc }: Figure, { trees }: Report): string {
  const [item] = items;
  if (kind === "shared") return text(`glibc ${trees.glibc.version}, libgcc_s`);
  if (kind === "mirror" && names.length === 0) return text("mirrors of glibc, libgcc_s");
  if (kind === "missing") return text(`${names[0]}: not found`);
  const shown = names.slice(0, MOST_NAMES).map((name) => text(basename(name)));
  if (names.length > MOST_NAMES) shown.push(text(`and ${names.length - MOST_NAMES} more`));
  if (names.length > 1) return shown.map((line) => `${line}\\l`).join("");
  const versions = clash && item ? [text(versionsOf(item, clash))].filter(Boolean) : [];
  if (missedGlibc !== undefined) versions.push(text(`needs glibc ${missedGlibc}`));
  return [...shown, ...versions, ...(kind === "shim" || kind === "mirror" ? [kind] : [])].join("\\n");
}

/** Its version, and that of the file that it replaces. */
function versionsOf({ path }: Item, { copies, isApart }: Clash): string {
  const [version, native] = [path, copies.find(({ isLoaded }) => !isLoaded)?.path ?? ""].map(versionIn);
  return isApart || !version || version === native ? `${version}` : `${version}, not ${native || "the runtime's"}`;
}

const tipOf = ({ items }: Figure): string => items.map(({ path, why }) => text(`${path} (${why})`)).join("\\n");

/** Escapes text for a DOT string, in which a backslash starts an escape and an ampersand an HTML entity. */
const text = (raw: string): string => printable(raw).replaceAll("\\", "\\\\").replaceAll("&", "&amp;");

const pair = ([name, value]: [string, string | number]): string => `${name}="${String(value).replaceAll('"', '\\"')}"`;

const list = (attributes: Attributes): string => `[${Object.entries(attributes).map(pair).join(" ")}]`;

/** Loads Graphviz, in WebAssembly, which draws DOT as SVG. It is large, and loads while other work goes on. */
export async function startGraphviz(): Promise<(dot: string) => string> {
  const { instance } = await import("@viz-js/viz");
  const graphviz = await instance();
  return (dot) => graphviz.renderString(dot, { format: "svg" });
}
