// Executes this command once more at its very start, before anything else is loaded, not even node:fs.
//
// Bun obeys variables that the user has set for Bun programs, as a script to preload. They are for the program, and must
// not change how this command runs it: it is started over without them. Bun has obeyed them once by then; the line that
// starts it (scripts/launcher.ts) is too long for more variables. An executable has no such line: what it would set is
// set here.

import { Exec } from "../../lib/process/exec.ts";
import { SmallFiles } from "../../lib/process/small-files.ts";
import { System } from "../../lib/process/system.ts";
import { ENGINE_SETTINGS, isForBun } from "../diagnostics/engine-settings.ts";
import { inheritedDescriptors } from "./inherited.ts";
import { isExecutable } from "./own-code.ts";
import { commandOf, formerVariables, reexec, stringsIn, type Through } from "./reexec.ts";

/**
 * Returns if Bun has what it should have from its start, or if this fails. Programs in processes of their own, and other
 * commands, do without the settings, as starting over takes longer than they save.
 */
export function startAgainAsNeeded(): void {
  const hosts = process.argv[2] === "exec" && !process.argv.some(asksToAttach);
  const needed = new Map([...variablesForBun(), ...(hosts ? missingSettings() : [])]);
  if (needed.size === 0) return;
  try {
    startAgain(new SmallFiles(new System()), needed);
  } catch {
    // The kernel refuses: the arguments and the environment are too long for the note about the change.
  }
}

/** For a wrong guess, runInProcess() starts over itself. */
const asksToAttach = (word: string): boolean => /^(attached|--mode=attached|--events\b.*)$/.test(word);

/** By name: undefined is for a variable to remove. */
type Changes = Map<string, string | undefined>;

/**
 * The user's, to remove. Not what was removed before: Bun has it from a .env file, where it was started without the
 * launcher's options.
 */
function variablesForBun(): Changes {
  const former = formerVariables();
  const names = Object.keys(process.env).filter((name) => isForBun(name) && !former.has(name));
  return new Map(names.map((name) => [name, undefined]));
}

/** The settings that hosting a program takes, if this is an executable that was started without them. */
export function missingSettings(): Changes {
  if (!isExecutable()) return new Map();
  const former = formerVariables();
  return new Map(
    Object.entries(ENGINE_SETTINGS).filter(([name, value]) => process.env[name] !== value && !former.has(name)),
  );
}

/** As it was done the last time. Throws, or returns, as startAgain does. */
export function startAgainThrough(files: SmallFiles, through: Through): void {
  startAgain(files, new Map([...variablesForBun(), ...missingSettings()]), through);
}

/** Returns if the environment is not known as it was given. Throws as reexec does. */
function startAgain(files: SmallFiles, environment: Changes, through?: Through): void {
  // ld.so truncates the kernel's copy of that variable (2.31-2.36 at least), from which the environment is taken here.
  if (process.env.GLIBC_TUNABLES !== undefined) return;
  const [cmdline, environ] = [files.bytes("/proc/self/cmdline"), files.bytes("/proc/self/environ")];
  if (!cmdline || !environ) return;
  const command = commandOf(inheritedDescriptors(files), cmdline, () => stringsIn(environ));
  reexec(new Exec(files.system), command, through ? { environment, through } : { environment });
}
