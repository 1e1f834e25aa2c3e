// `capsule why` as text: one paragraph per side, on one screen.

import { basename } from "node:path";
import type { Step } from "../../lib/tree/search.ts";
import { type Paint, widthsOf, wrapped } from "../diagnostics/terminal.ts";
import type { Answer } from "./answers.ts";
import { clashesOf } from "./clashes.ts";
import type { Item, Link, Report } from "./item.ts";
import { faultOf, missedGlibc } from "./words.ts";

/** The width of the text where there is room, in columns. With the labels and indent it is 80. */
const WIDTH = 67;
const LABEL = 11;
/** The most names listed. The rest are counted. */
const MOST_OTHERS = 6;

export function whyText(soname: string, answers: readonly Answer[], report: Report, paint: Paint): string {
  const paragraphs = answers.map((answer) => paragraph(answer, report, paint));
  const clash = clashesOf(report).find((one) => one.soname === soname);
  if (clash) {
    const keeps = clash.when === "later" ? "would keep it, if both are opened" : "keeps it";
    const text = clash.isApart
      ? `each side has a file of its own, and ${keeps}: natively one of them would have to serve all`
      : "the runtime has a file of its own, in the place of which the program gets the host's";
    const lines = wrapped(text, WIDTH).map((line) => paint("yellow", line));
    paragraphs.push(labelled("clash", lines, (label) => paint(["yellow", "bold"], label)));
  }
  return `${paragraphs.map((lines) => `${lines.join("\n")}\n`).join("\n")}`;
}

function paragraph(answer: Answer, report: Report, paint: Paint): string[] {
  const { side, link, rule, search } = answer;
  const label = (name: string, lines: readonly string[], style: PaintStyle = "plain") =>
    labelled(
      name,
      lines.map((line) => paint(style, line)),
      (text) => paint("cyan", text),
    );
  const whose = side.host ? `capsule of ${side.tree}` : "the program";
  const [what, style] = shownAs(link, search);
  const version = link?.item && missedGlibc(link.item, report);
  const refusal = version && `it needs glibc ${version}, and all of it runs on ${report.trees.glibc.version}`;
  return [
    `${paint("bold", `${whose}: `)}${paint(style, what)}`,
    ...label("it is", wrapped(rule, WIDTH)),
    ...label("but", refusal ? wrapped(refusal, WIDTH) : [], ["red", "bold"]),
    ...label("needed by", needers(answer, report)),
    ...label("search", steps(answer)),
  ];
}

type PaintStyle = Parameters<Paint>[0];

function shownAs(link: Link | undefined, search: Answer["search"]): [text: string, style: PaintStyle] {
  if (link?.fault) return [faultOf(link.fault).text, ["red", "bold"]];
  if (link) return [link.item.path, "bold"];
  return [search?.found ? `not needed; if it is opened, ${search.found.path}` : "not needed, and not there", "dim"];
}

/** From the first library loaded to the one that needs it. */
function needers({ side, link, chain, others }: Answer, report: Report): string[] {
  const first = chain[0] ?? (link?.item?.side === side ? link.item : undefined);
  const names = chain.map(nameOf).join(" → ");
  const also = others.slice(0, MOST_OTHERS).map(nameOf).join(" ");
  const more = others.length > MOST_OTHERS ? ` and ${others.length - MOST_OTHERS} more` : "";
  const parts = [
    first ? `${beginning(first, names !== "", report)}${names}` : "",
    also === "" ? "" : `also ${also}${more}`,
  ];
  return parts.filter(Boolean).flatMap((part) => wrapped(part, WIDTH));
}

/** What causes the first of a chain to be loaded, if not the program itself, with a separator. */
function beginning(first: Item, goesOn: boolean, { asked, program, capsules }: Report): string {
  const { side, when, role } = first;
  if (role === "asked" || (asked.kind === "soname" && first.name === asked.soname)) return "";
  const needs = ({ needs }: Item) => needs.some(({ item }) => item === first);
  const user = (side.host ? [program] : capsules).flatMap(({ items }) => items).find(needs);
  if (user) return `${nameOf(user)}${user.side.host ? ` of ${user.side.tree}` : ""}${goesOn ? " → " : ""}`;
  const openers = side.roots.find(({ link }) => link.item === first)?.openers ?? [];
  const who =
    openers.length > 0 ? `${openers.map(nameOf).join(", ")} when used (a guess)` : "the program, if it opens it";
  return `${when === "later" ? "nobody at the start; " : ""}${who}${goesOn ? ": " : ""}`;
}

const nameOf = ({ role, path, name }: Item): string => (role === "asked" ? path : basename(name));

function steps({ search, link }: Answer): string[] {
  if (!search)
    return [`none: it is ${link?.door ? `the ${link.door} of the one in the other namespace` : "chosen by the rule"}`];
  const all: Step[] = [...search.steps, ...(search.found ? [{ ...search.found, fault: "found" }] : [])];
  const rows = all.map(({ by, path, fault }) => [shortened(by), path === undefined ? fault : `${path}: ${fault}`]);
  const [width = 0] = widthsOf(rows);
  return rows.map(([by = "", what]) => `${by.padEnd(width)}  ${what}`);
}

const shortened = (by: string): string =>
  by.replace(/^(rpath|runpath) of (.*)$/s, (_, kind, owner) => `${kind} of ${basename(owner)}`);

/** A label before the first of some lines. */
const labelled = (label: string, lines: readonly string[], show: (label: string) => string): string[] =>
  lines.map((line, i) => `  ${i === 0 ? show(label) : ""}${" ".repeat(LABEL - (i === 0 ? label.length : 0))}${line}`);
