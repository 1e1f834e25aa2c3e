// All commands, and what shells ask to complete them.

import { allCommands } from "./commands/all.ts";
import { answerShell, COMPLETE } from "./commands/completions.ts";
import { rootCommand } from "./commands/root.ts";
import { runCommand } from "./run-command.ts";

const [, , command, ...words] = process.argv;
if (command === COMPLETE) process.exit(answerShell(rootCommand(allCommands()), words));
runCommand(allCommands);
