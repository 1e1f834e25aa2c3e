// What a person reads: with colours where a terminal shows them, and without anything
// that would make the terminal do something else than show it. Names and paths are
// strangers' strings.

import type { styleText as StyleText } from "node:util";
import { printable } from "./output.ts";

export type Style = Parameters<typeof StyleText>[0];
/** Text as it may be shown, in a style. */
export type Paint = (style: Style | "plain", text: string) => string;

/** FORCE_COLOR decides, else NO_COLOR (no-color.org), else whether standard output is a terminal that can. */
export function hasColours(env: NodeJS.ProcessEnv = process.env, isTerminal = () => isatty(1)): boolean {
  const { FORCE_COLOR: forced, NO_COLOR: refused, TERM: kind } = env;
  if (forced !== undefined) return !["0", "false"].includes(forced);
  return !refused && kind !== "dumb" && isTerminal();
}

export function painter(isColoured = hasColours()): Paint {
  if (!isColoured) return (_, text) => printable(text);
  const { styleText } = require("node:util") as typeof import("node:util");
  // The stream is not asked: Node's would make the descriptor non-blocking.
  return (style, text) =>
    style === "plain" || text === "" ? printable(text) : styleText(style, printable(text), { validateStream: false });
}

/** What node:tty and node:util bring along takes milliseconds, which a program that is run should not wait for. */
const isatty = (descriptor: number): boolean => (require("node:tty") as typeof import("node:tty")).isatty(descriptor);

/** Of the terminal, in columns; where there is none nothing has to be broken. */
export const widthOf = (): number => (isatty(1) ? process.stdout.columns || 80 : Number.POSITIVE_INFINITY);
