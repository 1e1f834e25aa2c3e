// How a command tells the user of an error.

import { writeSync } from "node:fs";
import { exitCodeOf, isExplained, messageOf } from "./error-data.ts";
import { printable, printableLines } from "./output.ts";

/** One paragraph on standard error, and the exit code that belongs to the error. */
export function reportError(error: unknown): number {
  // For a bug in capsule the stack is printed, too: nothing else shows where it is.
  const stack = error instanceof Error && !isExplained(error) ? `\n${printableLines(error.stack ?? "")}` : "";
  writeSync(2, `capsule: ${printable(messageOf(error))}${stack}\n`);
  return exitCodeOf(error);
}
