// `capsule capture`: gathers the newest of each library in a folder. Also by the name of libcapsule's tool, whose command
// lines it takes.

import { Command } from "commander";
import { System } from "../../lib/process/system.ts";
import { LOADER_PATH } from "../../lib/tree/glibc-names.ts";
import { captureAs, DEFAULT_COMPARATORS, NothingAsked } from "../capture/capture.ts";
import { captureText, environmentText } from "../capture/capture-text.ts";
import { remappingOf } from "../capture/entries.ts";
import { COMPARATORS, comparatorsOf } from "../capture/knowledge.ts";
import { loaderOf } from "../capture/loader.ts";
import { KINDS } from "../capture/pattern.ts";
import type { Options } from "../command-line/options.ts";
import { EXIT } from "../diagnostics/errors.ts";
import { jsonText, print } from "../diagnostics/output.ts";
import { ownScreen, Progress } from "../diagnostics/progress.ts";
import { painter } from "../diagnostics/terminal.ts";
import { addOptions } from "./add-options.ts";
import { profileWords } from "./tree-options.ts";

/** The name of libcapsule's tool. */
export const FORMER_NAME = "capsule-capture-libs";

/** As that tool's: a command line that cannot be read is something else (2). */
const FAILURE = 1;

interface Flags {
  readonly provider: string;
  readonly container: string;
  readonly dest: string;
  readonly profile?: readonly string[];
  readonly mountedAt?: string;
  readonly linkTarget?: string;
  readonly remapLinkPrefix?: readonly string[];
  readonly compareBy?: readonly string[];
  readonly libraryKnowledge?: string;
  readonly glibc: boolean;
  readonly copy?: boolean;
  readonly dryRun?: boolean;
  readonly verbose?: boolean;
  readonly json?: boolean;
  readonly "printLd.so"?: boolean;
  readonly "resolveLd.so"?: string;
}

const OPTIONS: Options = {
  "--provider <dir>": "the tree to take libraries from (default: /)",
  "--container <dir>": "the tree that they are for (default: /)",
  "--dest <dir>": "the folder to put them into (default: the current directory)",
  "--link-target <dir>": "where the provider will be when the folder is used (default: where it is now)",
  "--profile <name>": [
    "capture what belongs together, with drivers and their files, and print the variables that lead to them (repeatable, commas too)",
    profileWords,
    { list: true },
  ],
  "--mounted-at <dir>":
    "where the folder will be in the container, for variables and drivers' manifests (default: where it is)",
  "--remap-link-prefix <from=to>": "have links that begin with FROM begin with TO (repeatable)",
  "--compare-by <how>": [
    `how to tell which copy is newer: ${Object.keys(COMPARATORS).join(", ")} (repeatable, commas too; default: ${DEFAULT_COMPARATORS.join(",")})`,
    COMPARATORS,
    { list: true },
  ],
  "--library-knowledge <file>": "how single libraries are compared, and what is private in them",
  "--no-glibc": "leave out all of glibc",
  "--copy": "copy the files, in place of links to them",
  "--print-ld.so": "print the path of the ld.so that programs name, and do nothing else",
  "--resolve-ld.so <dir>": "print where that path leads in this tree, and do nothing else",
  "--dry-run": "tell what would be done, and do nothing of it",
  "-v, --verbose": "tell what was done, and why",
  "--json": "tell it as JSON",
};

const HELP = `
Patterns:
${Object.entries(KINDS)
  .map(([name, text]) => `  ${`${name}:`.padEnd(19)}${text}`)
  .join("\n")}
  from:              the patterns in this file, one a line
  gl:, nvidia:       what there is of OpenGL's libraries and drivers, of NVIDIA's
A name alone is a soname, or a glob of them; a path alone is a file, or a glob of them.

Before a pattern, in any number:
  if-exists:         nothing is wrong if there is none
  if-same-abi:       nothing is wrong if it is for another class or machine
  even-if-older:     whatever the container has
  only-dependencies: what it needs, but not itself
  no-dependencies:   itself, but not what it needs

By the name ${FORMER_NAME} the command takes the same words.

Exit status: 1 where it fails, 2 for a wrong command line, else 0.`;

/** `report` reports an error and returns the exit code. */
export function captureCommand(report: (error: unknown) => number, name = "capture"): Command {
  const command = new Command(name)
    .summary("gather the newest of each library in a folder")
    .description(
      "Make a folder of links to the libraries of a tree that match the patterns, with all that they need, but for what the container has as new or newer. Files are read; nothing is run or loaded.",
    )
    .argument("[pattern...]", "what to capture");
  return addOptions(command, OPTIONS)
    .addHelpText("after", HELP)
    .action((patterns: readonly string[], flags: Flags) => {
      try {
        print(toldBy(patterns, flags));
      } catch (error) {
        report(error);
        process.exit(error instanceof NothingAsked ? EXIT.usage : FAILURE);
      }
    });
}

/** Captures, and returns what to print. */
function toldBy(patterns: readonly string[], flags: Flags): string {
  const { provider = "/", container = "/", dest = ".", "resolveLd.so": tree } = flags;
  if (flags["printLd.so"]) return `${LOADER_PATH}\n`;
  if (tree !== undefined) return `${loaderOf(tree)}\n`;
  const profile = flags.profile ?? [];
  const { linkTarget, libraryKnowledge, compareBy, copy = false, dryRun = false, json = false } = flags;
  using progress = new Progress(() => ownScreen(new System(), process.env));
  const wishes = {
    patterns,
    profiles: profile,
    mountedAt: flags.mountedAt,
    provider,
    container,
    destination: dest,
    linkTarget,
    remapped: (flags.remapLinkPrefix ?? []).map(remappingOf),
    compareBy: compareBy ? comparatorsOf(compareBy, "") : DEFAULT_COMPARATORS,
    knowledge: libraryKnowledge,
    isWithoutGlibc: !flags.glibc,
    isCopied: copy,
    isDryRun: dryRun,
  };
  const found = captureAs(wishes, progress.reading);
  progress.erase();
  if (json) return jsonText(found);
  const text = dryRun || flags.verbose ? captureText(found, painter()) : "";
  return profile.length > 0 ? text + environmentText(found) : text;
}
