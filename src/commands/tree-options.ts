// Options that name the trees and say what comes from which.

import { realpathSync } from "node:fs";
import { unless } from "../../lib/unless.ts";
import type { Options, Words } from "../command-line/options.ts";
import { UsageError } from "../diagnostics/errors.ts";
import { warn } from "../diagnostics/output.ts";
import { locateProgram } from "../plan/program.ts";
import { PROFILES, type Profile } from "../profiles/profiles.ts";
import { GLIBC_CHOICES } from "../settings/choices.ts";
import type { Flags } from "../settings/layer.ts";
import { Settings } from "../settings/settings.ts";

const summariesOf = (entries: Readonly<Record<string, { readonly summary: string }>>): Words =>
  Object.fromEntries(Object.entries(entries).map(([name, { summary }]) => [name, summary]));

const profilesThere = (): Readonly<Record<string, Profile>> =>
  unless([UsageError], () => new Settings({}, undefined).profiles) ?? PROFILES;

/** Includes the profiles of the user's own file, unless it is invalid, which a run reports. */
export const profileWords = (): Words => summariesOf(profilesThere());

export const TREE_OPTIONS: Options = {
  "--host <dir>": "the tree to take libraries from (default: CAPSULE_PREFIX, /run/host, /host or /)",
  "--host-libraries <path>":
    "search this directory of the host tree for libraries and drivers first (repeatable, commas too; default: CAPSULE_HOST_LIBRARIES)",
  "--host-shares <path>":
    "look in this directory of the host tree, too, for what /usr/share has, as drivers' manifests (repeatable, commas too; default: CAPSULE_HOST_SHARES)",
  "--isolate <soname>":
    "take this library and its family from the host tree; SONAME=DIR from another (repeatable, commas too)",
  "--profile <name>": [
    "isolate what belongs together (repeatable, commas too; default: all of them)",
    profileWords,
    { list: true },
  ],
  "--runtime <dir>": "the tree with the program's own libraries (default: CAPSULE_RUNTIME, or the machine itself)",
  "--glibc <choice>": [
    `whose glibc all of it runs on: ${Object.keys(GLIBC_CHOICES).join(", ")}, or a tree's, by its directory (default: CAPSULE_GLIBC, or auto)`,
    GLIBC_CHOICES,
    { directory: true },
  ],
  "--settings <file>":
    "settings to use instead of capsule.toml beside the program and the user's own (default: CAPSULE_SETTINGS)",
  "--no-settings": "use no file of settings",
};

/**
 * `program` is a path or the name of a program in PATH: a settings file may lie beside it. `tell` gets warnings about
 * settings files. Throws UsageError, and ProgramError if the program does not exist.
 */
export const settingsOf = (flags: Flags, program?: string, tell?: (text: string) => void): Settings =>
  settingsFor(flags, program === undefined ? undefined : realpathSync(locateProgram(program)), tell);

/**
 * Like settingsOf, but `file` need not be a program. It has no symbolic links in it, or is undefined. Throws
 * UsageError.
 */
export function settingsFor(flags: Flags, file: string | undefined, tell: (text: string) => void = warn): Settings {
  const settings = new Settings(flags, file);
  settings.warnings.forEach((text) => void tell(text));
  return settings;
}
