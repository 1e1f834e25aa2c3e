// What `capsule exec` does, and its options: the part of a run that knows the command line, but not commander.

import { Libc } from "../../lib/process/libc.ts";
import { System } from "../../lib/process/system.ts";
import type { Options } from "../command-line/options.ts";
import { dataOf, exitCodeOf } from "../diagnostics/error-data.ts";
import { UsageError } from "../diagnostics/errors.ts";
import { descriptorOf, EventWriter } from "../diagnostics/events.ts";
import { CATEGORIES, Trace } from "../diagnostics/trace.ts";
import { procFiles } from "../handover/descriptors.ts";
import { hookOf } from "../plan/hooks.ts";
import { inheritedDescriptors } from "../reexec/inherited.ts";
import { startOverWithVariables } from "../reexec/own-variables.ts";
import { runProgram } from "../run-program.ts";
import { MODES, NAMESPACE_CHOICES } from "../settings/choices.ts";
import type { Flags } from "../settings/layer.ts";
import { settingsOf, TREE_OPTIONS } from "./tree-options.ts";

/** Flags of a single run, which are not settings. */
export interface RunFlags extends Flags {
  readonly hook?: readonly string[];
  readonly events?: string;
  readonly bindings?: boolean;
}

/** Options that control how a program runs. */
export const RUN_OPTIONS: Options = {
  ...TREE_OPTIONS,
  "--mount-namespace <choice>": [
    `attached, on another glibc than the machine's: ${Object.keys(NAMESPACE_CHOICES).join(", ")} (default: CAPSULE_MOUNT_NAMESPACE, or auto)`,
    NAMESPACE_CHOICES,
  ],
  "--mode <mode>": [`where the program runs: ${Object.keys(MODES).join(", ")} (default: CAPSULE_MODE, or auto)`, MODES],
  "--hook <soname:symbol=file>":
    "have the program get this function from a shared object instead; FILE:FUNCTION where it has another name there (repeatable)",
  "--trace <category>": [
    "tell on standard error what is done and why (repeatable, commas too; all for everything)",
    { ...CATEGORIES, all: "everything" },
    { list: true },
  ],
};

export const EXEC_OPTIONS: Options = {
  ...RUN_OPTIONS,
  "--events <descriptor>":
    "write what happens to this descriptor, for a program to read: an object of JSON a line; the program is attached then",
  "--bindings": "with --events: tell, too, which symbols of isolated libraries are bound",
};

/** Runs a program. `report` reports an error and returns the exit code. Throws what `report` has not got. */
export function execute(
  program: string,
  list: readonly string[],
  flags: RunFlags,
  report: (error: unknown) => number,
): void {
  const events = eventsOf(flags);
  try {
    const settings = settingsOf(flags, program);
    const trace = new Trace(settings.trace.value, events);
    const libc = new Libc();
    startOverWithVariables(libc, settings);
    const fail = (error: unknown): never => libc.system.exit(report(error));
    const run = {
      program,
      arguments: list,
      mode: settings.mode.value,
      settingsFiles: settings.files,
      ...settings.trees,
      mountNamespace: settings.mountNamespace.value,
      hooks: (flags.hook ?? []).map(hookOf),
    };
    runProgram(libc, run, trace, fail);
  } catch (error) {
    // The reader of the events decides whether to tell the user.
    if (!events) throw error;
    events.write({ event: "failed", pid: process.pid, isFatal: true, error: dataOf(error) });
    process.exit(exitCodeOf(error));
  }
}

/** Throws UsageError and SystemError. */
function eventsOf({ events, bindings = false }: RunFlags): EventWriter | undefined {
  if (events === undefined && !bindings) return undefined;
  if (events === undefined) throw new UsageError("Cannot tell bindings: --bindings is for --events");
  const descriptor = descriptorOf(events, inheritedDescriptors(procFiles));
  const system = new System();
  system.unblock(descriptor);
  // The program must not inherit it.
  system.closeAtExec(descriptor);
  return new EventWriter(descriptor, bindings);
}
