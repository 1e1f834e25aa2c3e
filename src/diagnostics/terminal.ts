// Output for people: with colours if the terminal shows them, and without anything that the terminal would obey. Names
// and paths may come from strangers.

import type { styleText as StyleText } from "node:util";
import { print, printable } from "./output.ts";

export type Style = Parameters<typeof StyleText>[0];
/** Printable text in a style. */
export type Paint = (style: Style | "plain", text: string) => string;

/** FORCE_COLOR decides, else NO_COLOR (no-color.org), else whether standard output is a terminal with colours. */
export function hasColours(env: NodeJS.ProcessEnv = process.env, hasTerminal = () => isTerminal(1)): boolean {
  const { FORCE_COLOR: forced, NO_COLOR: refused, TERM: kind } = env;
  if (forced !== undefined) return !["0", "false"].includes(forced);
  return !refused && kind !== "dumb" && hasTerminal();
}

export function painter(isColoured = hasColours()): Paint {
  if (!isColoured) return (_, text) => printable(text);
  const { styleText } = require("node:util") as typeof import("node:util");
  // The stream is not validated: Node's would make the descriptor non-blocking.
  return (style, text) =>
    style === "plain" || text === "" ? printable(text) : styleText(style, printable(text), { validateStream: false });
}

/** node:tty and node:util take milliseconds to load, which should not delay a program. */
export const isTerminal = (descriptor: number): boolean =>
  (require("node:tty") as typeof import("node:tty")).isatty(descriptor);

/** Lines of words, of up to `width` columns. A longer word has a line of its own. */
export function inLines(words: readonly string[], width: number): string[][] {
  const lines: string[][] = [];
  let room = 0; // in the last line, behind its last word
  for (const word of words) {
    const fits = word.length < room;
    if (fits) lines.at(-1)?.push(word);
    else lines.push([word]);
    room = (fits ? room - 1 : width) - word.length;
  }
  return lines;
}

/** Wraps text at spaces. */
export const wrapped = (text: string, width: number): string[] =>
  inLines(text.split(" "), width).map((words) => words.join(" "));

/** The width of each column of a table, that of its widest cell. */
export function widthsOf(rows: readonly (readonly string[])[]): number[] {
  const widths: number[] = [];
  for (const row of rows) for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, cell.length);
  return widths;
}

/** The width of the terminal, in columns; infinite without one, as no line has to be broken. */
export const widthOf = (descriptor: 1 | 2 = 1): number =>
  isTerminal(descriptor) ? process[descriptor === 1 ? "stdout" : "stderr"].columns || 80 : Number.POSITIVE_INFINITY;

/** A style, spaces, or a word. */
const TOKENS = /(\p{Cc}\[[\d;]*m)|( +)|[^\p{Cc} ]+/gu;
/** How much further the rest of a line begins, in columns. */
const FURTHER = 4;

/**
 * Breaks lines that are longer than the width between words, where a terminal would break them anywhere. The rest is
 * indented further than the line. Styles take no room.
 */
export function folded(text: string, width: number): string {
  if (width === Number.POSITIVE_INFINITY) return text;
  return text
    .split("\n")
    .map((line) => (line.length <= width ? line : foldedLine(line, width)))
    .join("\n");
}

function foldedLine(line: string, width: number): string {
  const own = /^[ │├└─]*/.exec(line)?.[0].length ?? 0;
  // In a narrow window, or deep in a tree, there is no room for that.
  const indent = own + FURTHER < width / 2 ? own + FURTHER : 0;
  let [all, column] = ["", 0];
  // Behind the last word: styles, and spaces, which count only if another word follows in the line.
  let [pending, room] = ["", 0];
  for (const [token, style, spaces] of line.matchAll(TOKENS)) {
    if (style !== undefined || spaces !== undefined) {
      pending += token;
      room += spaces?.length ?? 0;
      continue;
    }
    const fits = column === 0 || column + room + token.length <= width;
    all += fits ? `${pending}${token}` : `\n${" ".repeat(indent)}${pending.replaceAll(" ", "")}${token}`;
    column = (fits ? column + room : indent) + token.length;
    [pending, room] = ["", 0];
  }
  return all + pending.replaceAll(" ", "");
}

/** Prints text for people. */
export const show = (text: string): void => print(folded(text, widthOf()));
