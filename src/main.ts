// The command's entry. In the bundle, a launcher (scripts/launcher.ts) starts Bun on it, with settings that have to apply
// before it is loaded.

import { reexecFromCache } from "./reexec/from-cache.ts";
import { scriptFor } from "./reexec/own-code.ts";
import { startAgainAsNeeded } from "./reexec/start-again.ts";

reexecFromCache();
startAgainAsNeeded();
// By path, as the bundle has it beside this file, too; dynamically, as a command that is started over does not need it.
void import(scriptFor(process.argv[2]));
