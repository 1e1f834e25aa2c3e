// The command's entry. In the bundle, a launcher (scripts/launcher.ts) starts Bun on it, with settings that have to apply
// before it is loaded.

import { reexecFromCache } from "./reexec/from-cache.ts";
import { startAgainWithoutBuns } from "./reexec/start-again.ts";

reexecFromCache();
startAgainWithoutBuns();
// By path, as the bundle has it beside this file, too; dynamically, as a command that is started over does not need it.
void import(Bun.main.replace(/main(\.\w+)$/, `${process.argv[2] === "exec" ? "exec" : "command"}$1`));
