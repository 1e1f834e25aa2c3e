// All commands, and what shells ask to complete them.

import { writeSync } from "node:fs";
import { CommanderError } from "commander";
import { calledBy } from "./command-line/called-by.ts";
import { allCommands } from "./commands/all.ts";
import { FORMER_NAME } from "./commands/capture.ts";
import { answerShell, COMPLETE } from "./commands/completions.ts";
import { refuseMistyped } from "./commands/mistyped.ts";
import { rootCommand } from "./commands/root.ts";
import { EXIT } from "./diagnostics/errors.ts";
import { reportOnTerminal } from "./diagnostics/report-error.ts";
import { folded, show, widthOf } from "./diagnostics/terminal.ts";

/** commander's own messages begin with "error: ", its help does not. */
const output = {
  writeOut: show,
  writeErr: (text: string) => writeSync(2, folded(text.replace(/^error: /, "capsule: "), widthOf(2))),
};

const [runtime = "", script = "", ...given] = process.argv;
const line = calledBy(given.length) === FORMER_NAME && given[0] !== "--version" ? ["capture", ...given] : given;
const [command, ...words] = line;
if (command === COMPLETE) process.exit(answerShell(rootCommand(allCommands()), words));
try {
  const commands = allCommands(reportOnTerminal);
  refuseMistyped(rootCommand(commands), line);
  rootCommand(commands, (each) => each.exitOverride().configureOutput(output)).parse([runtime, script, ...line]);
} catch (error) {
  // commander has printed its own.
  if (error instanceof CommanderError) process.exit(error.exitCode === 0 ? 0 : EXIT.usage);
  process.exit(reportOnTerminal(error));
}
