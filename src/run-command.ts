// The command line. The only file that prints errors and ends the process.

import { writeSync } from "node:fs";
import { type Command, CommanderError } from "commander";
import { ElfError } from "../lib/elf/error.ts";
import { LinkError } from "../lib/link-error.ts";
import { reasonOf } from "../lib/tree/search.ts";
import { rootCommand } from "./commands/root.ts";
import { exitCodeOf } from "./diagnostics/error-data.ts";
import { EXIT, ProgramError, UsageError } from "./diagnostics/errors.ts";
import { printable, printableLines } from "./diagnostics/output.ts";

/** Node's messages name the system call, not the purpose. */
function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { code, path, syscall, message } = error as NodeJS.ErrnoException;
  return code !== undefined && path !== undefined && syscall === "open"
    ? `Cannot open "${path}": ${reasonOf(code)}`
    : message;
}

/** One paragraph on standard error, and the exit code that belongs to the error. */
function report(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT.usage; // commander has printed it
  const message = messageOf(error);
  const known = [ProgramError, UsageError, LinkError, ElfError].some((kind) => error instanceof kind);
  const isSystem = (error as NodeJS.ErrnoException).code !== undefined;
  // For a bug in capsule the stack is printed, too: nothing else shows where it is.
  const where = known || isSystem ? "" : `\n${printableLines(error instanceof Error ? (error.stack ?? "") : "")}`;
  writeSync(2, `capsule: ${printable(message)}${where}\n`);
  return exitCodeOf(error);
}

/** commander's own messages begin with "error: ", its help does not. */
const output = {
  writeErr: (text: string) =>
    writeSync(2, text.startsWith("error: ") ? `capsule: ${text.slice("error: ".length)}` : text),
};

/** Runs the command that the arguments name, of those that `make` makes. */
export function runCommand(make: (report: (error: unknown) => number) => Command[]): void {
  try {
    const root = rootCommand(make(report), (command) => command.exitOverride().configureOutput(output));
    root.parse();
  } catch (error) {
    process.exit(report(error));
  }
}
