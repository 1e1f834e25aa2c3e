// `capsule exec` alone, without the other commands and without commander: they would delay what is started.

import { readPlainly } from "./command-line/options.ts";
import { EXEC_OPTIONS, execute, type RunFlags } from "./commands/execute.ts";
import { reportError, reportOnTerminal } from "./diagnostics/report-error.ts";
import { ownScript } from "./reexec/own-code.ts";

const line = readPlainly(EXEC_OPTIONS, process.argv.slice(3));
if (line) {
  const [program = "", ...list] = line.operands;
  try {
    execute(program, list, line.given as RunFlags, reportError);
  } catch (error) {
    process.exit(reportOnTerminal(error));
  }
} else void import(ownScript("command"));
