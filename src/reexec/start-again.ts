// Executes this command once more at its very start, before anything else is loaded, not even node:fs.
//
// Bun obeys variables that the user has set for Bun programs, as a script to preload. They are for the program, and must
// not change how this command runs it: it is started over without them. Bun has obeyed them once by then; the line that
// starts it (scripts/launcher.ts) is too long for more variables.

import { Exec } from "../../lib/process/exec.ts";
import { SmallFiles } from "../../lib/process/small-files.ts";
import { System } from "../../lib/process/system.ts";
import { isForBun } from "../diagnostics/engine-settings.ts";
import { inheritedDescriptors } from "./inherited.ts";
import { commandOf, formerVariables, reexec, stringsIn, type Through } from "./reexec.ts";

/**
 * Returns if there are no such variables, or if this fails: then they are obeyed. Also if they are there again: Bun
 * has them from a .env file, where it was started without main.ts's own options.
 */
export function startAgainWithoutBuns(): void {
  const former = formerVariables();
  if (!variablesForBun().some((name) => !former.has(name))) return;
  try {
    startAgain(new SmallFiles(new System()));
  } catch {
    // The kernel refuses: the arguments and the environment are too long for the note about the change.
  }
}

/** Through that ld.so, if one is given. Returns if the environment is not known as it was given. Throws as reexec does. */
export function startAgain(files: SmallFiles, through?: Through): void {
  // ld.so truncates the kernel's copy of that variable (2.31-2.36 at least), from which the environment is taken here.
  if (process.env.GLIBC_TUNABLES !== undefined) return;
  const [cmdline, environ] = [files.bytes("/proc/self/cmdline"), files.bytes("/proc/self/environ")];
  if (!cmdline || !environ) return;
  const command = commandOf(inheritedDescriptors(files), cmdline, () => stringsIn(environ));
  const environment = new Map(variablesForBun().map((name) => [name, undefined]));
  reexec(new Exec(files.system), command, through ? { environment, through } : { environment });
}

const variablesForBun = (): string[] => Object.keys(process.env).filter(isForBun);
