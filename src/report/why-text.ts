// `capsule why` as text: one paragraph per side, on one screen.

import { basename } from "node:path";
import type { Step } from "../../lib/tree/search.ts";
import type { Paint } from "../diagnostics/terminal.ts";
import type { Answer } from "./answers.ts";
import { clashesOf } from "./clashes.ts";
import { type Item, isMissing, type Link, type Report } from "./item.ts";
import { faultOf, missedGlibc } from "./words.ts";

/** The width of the text, in columns. With the labels and indent it is 80. */
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
    paragraphs.push(
      [labelled(paint(["yellow", "bold"], "clash"), wrapped(text), (line) => paint("yellow", line), 5)].flat(),
    );
  }
  return `${paragraphs.map((lines) => `${lines.join("\n")}\n`).join("\n")}`;
}

function paragraph(answer: Answer, report: Report, paint: Paint): string[] {
  const { side, link, rule, search } = answer;
  const label = (name: string, lines: readonly string[], style: Parameters<Paint>[0] = "plain") =>
    labelled(paint("cyan", name), lines, (line) => paint(style, line), name.length);
  const [whose, what] = [side.host ? `capsule of ${side.tree}` : "the program", shownAs(link, search)];
  const head = `${paint("bold", `${whose}: `)}${paint(what.style, what.text)}`;
  const version = link && !isMissing(link) ? missedGlibc(link.item, report) : undefined;
  const refusal = version && `it needs glibc ${version}, and all of it runs on ${report.trees.glibc.version}`;
  return [
    head,
    ...label("it is", wrapped(rule)),
    ...label("but", refusal ? wrapped(refusal) : [], ["red", "bold"]),
    ...label("needed by", needers(answer, report)),
    ...label("search", steps(answer), "plain"),
  ];
}

function shownAs(link: Link | undefined, search: Answer["search"]): { text: string; style: Parameters<Paint>[0] } {
  if (link && isMissing(link)) return { text: faultOf(link.fault).text, style: ["red", "bold"] };
  if (link) return { text: link.item.path, style: "bold" };
  return {
    text: search?.found ? `not needed; if it is opened, ${search.found.path}` : "not needed, and not there",
    style: "dim",
  };
}

/** From the first library loaded to the one that needs it. */
function needers({ side, link, chain, others }: Answer, report: Report): string[] {
  const item = link && !isMissing(link) && link.item.side === side ? link.item : undefined;
  const first = chain[0] ?? item;
  const names = chain.map(nameOf).join(" → ");
  const also = others.slice(0, MOST_OTHERS).map(nameOf).join(" ");
  const more = others.length > MOST_OTHERS ? ` and ${others.length - MOST_OTHERS} more` : "";
  const parts = [
    first ? `${beginning(first, names !== "", report)}${names}` : "",
    also === "" ? "" : `also ${also}${more}`,
  ];
  return parts.filter(Boolean).flatMap(wrapped);
}

/** What causes the first of a chain to be loaded, if not the program itself, with a separator. */
function beginning(first: Item, goesOn: boolean, { asked, program, capsules }: Report): string {
  const { side, when, role } = first;
  if (role === "asked" || (asked.kind === "soname" && first.name === asked.soname)) return "";
  const needs = ({ needs }: Item) => needs.some((need) => !isMissing(need) && need.item === first);
  const user = (side.host ? [program] : capsules).flatMap(({ items }) => items).find(needs);
  if (user) return `${nameOf(user)}${user.side.host ? ` of ${user.side.tree}` : ""}${goesOn ? " → " : ""}`;
  const openers = side.roots.find(({ link }) => !isMissing(link) && link.item === first)?.openers ?? [];
  const who =
    openers.length > 0 ? `${openers.map(nameOf).join(", ")} when used (a guess)` : "the program, if it opens it";
  return `${when === "later" ? "nobody at the start; " : ""}${who}${goesOn ? ": " : ""}`;
}

const nameOf = ({ role, path, name }: Item): string => (role === "asked" ? path : basename(name));

function steps({ search, link }: Answer): string[] {
  if (!search) {
    if (link && !isMissing(link) && link.door)
      return [`none: it is the ${link.door} of the one in the other namespace`];
    return ["none: it is chosen by the rule"];
  }
  const found = search.found ? [{ ...search.found, fault: "found" }] : [];
  const all: Step[] = [...search.steps, ...found];
  const width = Math.max(...all.map(({ by }) => shortened(by).length));
  return all.map(
    ({ by, path, fault }) => `${shortened(by).padEnd(width)}  ${path === undefined ? fault : `${path}: ${fault}`}`,
  );
}

const shortened = (by: string): string =>
  by.replace(/^(rpath|runpath) of (.*)$/s, (_, kind, owner) => `${kind} of ${basename(owner)}`);

function labelled(label: string, lines: readonly string[], show: (line: string) => string, width: number): string[] {
  return lines.map((line, i) => `  ${i === 0 ? label + " ".repeat(LABEL - width) : " ".repeat(LABEL)}${show(line)}`);
}

/** Wraps at spaces. */
function wrapped(text: string): string[] {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + word.length < WIDTH) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}
