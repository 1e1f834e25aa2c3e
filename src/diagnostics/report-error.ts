// How a command tells the user of an error.

import { writeSync } from "node:fs";
import { ElfError } from "../../lib/elf/error.ts";
import { LinkError } from "../../lib/link-error.ts";
import { reasonOf } from "../../lib/tree/search.ts";
import { exitCodeOf } from "./error-data.ts";
import { ProgramError, UsageError } from "./errors.ts";
import { printable, printableLines } from "./output.ts";

/** Node's messages name the system call, not the purpose. */
function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { code, path, syscall, message } = error as NodeJS.ErrnoException;
  return code !== undefined && path !== undefined && syscall === "open"
    ? `Cannot open "${path}": ${reasonOf(code)}`
    : message;
}

/** One paragraph on standard error, and the exit code that belongs to the error. */
export function reportError(error: unknown): number {
  const message = messageOf(error);
  const known = [ProgramError, UsageError, LinkError, ElfError].some((kind) => error instanceof kind);
  const isSystem = (error as NodeJS.ErrnoException).code !== undefined;
  // For a bug in capsule the stack is printed, too: nothing else shows where it is.
  const where = known || isSystem ? "" : `\n${printableLines(error instanceof Error ? (error.stack ?? "") : "")}`;
  writeSync(2, `capsule: ${printable(message)}${where}\n`);
  return exitCodeOf(error);
}
