// The variables that settings files set for the program. This command is started over with them, since ld.so, Bun and libc
// read many at a process's start, and everything that capsule decides by them then has the right ones.

import type { Libc } from "../../lib/process/libc.ts";
import { SmallFiles } from "../../lib/process/small-files.ts";
import type { Settings } from "../settings/settings.ts";
import { inheritedDescriptors } from "./inherited.ts";
import { ownCommand } from "./own-command.ts";
import { formerVariables, reexec } from "./reexec.ts";

/** Set, and removed for the program, so that this is done once: PATH may lead to another program, with other settings. */
const IS_DONE = "CAPSULE_VARIABLES_SET";

/** Returns if the process has them. */
export function startOverWithVariables(libc: Libc, { environment }: Pick<Settings, "environment">): void {
  if (environment.size === 0) return;
  const former = formerVariables();
  if (former.has(IS_DONE)) return;
  const present = (name: string) => (former.has(name) ? former.get(name) : process.env[name]);
  const users = new Map(
    [...environment].filter(([name, { value }]) => present(name) !== value).map(([name, { value }]) => [name, value]),
  );
  if (users.size === 0) return;
  const command = ownCommand(libc, inheritedDescriptors(new SmallFiles(libc.system)));
  reexec(libc.exec, command, { environment: new Map([[IS_DONE, "1"]]), users });
}
