// `capsule exec` alone, as the others' code would delay what is started.

import { execCommand } from "./commands/exec.ts";
import { runCommand } from "./run-command.ts";

runCommand((report) => [execCommand(report)]);
