// How a command tells the user of an error.

import { writeSync } from "node:fs";
import { exitCodeOf, isExplained, messageOf } from "./error-data.ts";
import { printable, printableLines } from "./output.ts";
import { folded, widthOf } from "./terminal.ts";

/** As reportError, broken between words if standard error is a terminal. For a process in which nothing has been changed. */
export const reportOnTerminal = (error: unknown): number => reportError(error, widthOf(2));

/** One paragraph on standard error, and the exit code that belongs to the error. */
export function reportError(error: unknown, width = Number.POSITIVE_INFINITY): number {
  // For a bug in capsule the stack is printed, too: nothing else shows where it is.
  const stack = error instanceof Error && !isExplained(error) ? `\n${printableLines(error.stack ?? "")}` : "";
  const text = folded(`capsule: ${printable(messageOf(error))}`, width);
  writeSync(2, `${text}${stack}\n`);
  return exitCodeOf(error);
}
