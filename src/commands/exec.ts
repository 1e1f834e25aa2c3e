// `capsule exec`: its options and its action.

import { Command } from "commander";
import { Libc } from "../../lib/process/libc.ts";
import { System } from "../../lib/process/system.ts";
import { dataOf, exitCodeOf } from "../diagnostics/error-data.ts";
import { UsageError } from "../diagnostics/errors.ts";
import { descriptorOf, EventWriter } from "../diagnostics/events.ts";
import { CATEGORIES, DEBUG_WORDS, Trace } from "../diagnostics/trace.ts";
import { procFiles } from "../handover/descriptors.ts";
import { hookOf } from "../plan/hooks.ts";
import { PROFILES } from "../profiles/profiles.ts";
import { inheritedDescriptors } from "../reexec/inherited.ts";
import { runProgram } from "../run-program.ts";
import { GLIBC_CHOICES, MODES, NAMESPACE_CHOICES } from "../settings/choices.ts";
import { KEYS } from "../settings/keys.ts";
import type { Flags } from "../settings/layer.ts";
import { addOptions, addTreeOptions, type Options, settingsOf } from "./tree-options.ts";

/** Flags of a single run, which are not settings. */
export interface RunFlags extends Flags {
  readonly hook?: readonly string[];
  readonly events?: string;
  readonly bindings?: boolean;
}

/** `report` reports an error and returns the exit code. */
export function execCommand(report: (error: unknown) => number): Command {
  const command = new Command("exec")
    .summary("run a program with chosen libraries from a host tree")
    .description(
      "Run PROGRAM. Its libraries come from where they always do; those that are isolated come, with all they need, from the host tree.",
    )
    .argument("<program>", "a path, or a name that PATH has")
    .argument("[arguments...]", "the program's own");
  return addRunOptions(command)
    .option(
      "--events <descriptor>",
      "write what happens to this descriptor, for a program to read: an object of JSON a line; the program is attached then",
    )
    .option("--bindings", "with --events: tell, too, which symbols of isolated libraries are bound")
    .addHelpText("after", HELP)
    .passThroughOptions()
    .action((program: string, list: string[], flags: RunFlags) => {
      const events = eventsOf(flags);
      try {
        const settings = settingsOf(flags, program);
        const trace = new Trace(settings.trace.value, events);
        const libc = new Libc();
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
    });
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

const RUN_OPTIONS: Options = {
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

/** Options that control how a program runs. */
export const addRunOptions = (command: Command): Command => addOptions(addTreeOptions(command), RUN_OPTIONS);

const listed = (entries: readonly (readonly [name: string, text: string])[]): string =>
  entries.map(([name, text]) => `  ${name.padEnd(17)}${text}`).join("\n");

const SETTINGS = Object.entries(KEYS).map(
  ([name, { value, isList }]) => [name, isList ? `["${value}", …]` : `"${value}"`] as const,
);

/** Follows the options in the help of exec. */
const HELP = `
Profiles:
${listed(Object.entries(PROFILES).map(([name, { summary }]) => [name, summary]))}

Modes:
${listed(Object.entries(MODES))}

Whose glibc:
${listed([...Object.entries(GLIBC_CHOICES), ["DIR", "that tree's"]])}

A mount namespace, in which another glibc's files are in the place of the machine's:
${listed(Object.entries(NAMESPACE_CHOICES))}

Trace categories:
${listed(Object.entries(CATEGORIES))}

Environment:
  CAPSULE_PREFIX            the host tree
  CAPSULE_<SONAME>_PREFIX   the host tree of one library (libGL.so.1: CAPSULE_LIBGL_SO_1_PREFIX)
  CAPSULE_HOST_LIBRARIES    as --host-libraries, with colons
  CAPSULE_HOST_SHARES       as --host-shares, with colons
  CAPSULE_RUNTIME           the runtime
  CAPSULE_GLIBC             whose glibc
  CAPSULE_MOUNT_NAMESPACE   whether there is to be a mount namespace
  CAPSULE_MODE              the mode
  CAPSULE_SETTINGS          the file of settings
  CAPSULE_DEBUG             as --trace, in libcapsule's words: ${Object.keys(DEBUG_WORDS).join(" ")}

Settings: the options above, by their names, may be in capsule.toml beside the program, or in
$XDG_CONFIG_HOME/capsule/capsule.toml (default: ~/.config) for all. A flag wins over a variable, that over
the file beside the program, that over the user's own.
${listed(SETTINGS)}
  [libraries]      "SONAME" = "DIR": the host tree of one library
  [profiles.NAME]  a profile of one's own: isolate, newest, environment, summary

Exit status: the program's own; 125 where capsule fails, 126 where the program cannot be run,
127 where it is not found, 2 for a wrong command line.`;
