// `capsule exec`: its line and its help.

import { Command } from "commander";
import { reportError } from "../diagnostics/report-error.ts";
import { CATEGORIES, DEBUG_WORDS } from "../diagnostics/trace.ts";
import { PROFILES } from "../profiles/profiles.ts";
import { GLIBC_CHOICES, MODES, NAMESPACE_CHOICES } from "../settings/choices.ts";
import { KEYS } from "../settings/keys.ts";
import { addOptions } from "./add-options.ts";
import { EXEC_OPTIONS, execute, type RunFlags } from "./execute.ts";

export function execCommand(): Command {
  const command = new Command("exec")
    .summary("run a program with chosen libraries from a host tree")
    .description(
      "Run PROGRAM. Its libraries come from where they always do; those that are isolated come, with all they need, from the host tree.",
    )
    .argument("<program>", "a path, or a name that PATH has")
    .argument("[arguments...]", "the program's own");
  return addOptions(command, EXEC_OPTIONS)
    .addHelpText("after", HELP)
    .passThroughOptions()
    .action((program: string, list: string[], flags: RunFlags) => execute(program, list, flags, reportError));
}

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
  [environment]    NAME = "VALUE" for the program; NAME = false for no such variable
  [profiles.NAME]  a profile of one's own: isolate, newest, environment, summary

Exit status: the program's own; 125 where capsule fails, 126 where the program cannot be run,
127 where it is not found, 2 for a wrong command line.`;
