// `capsule exec`: its options, and what it does.

import { Command } from "commander";
import { Libc } from "../../lib/loader/libc.ts";
import { NAMESPACE_CHOICES, namespaceChoiceOf } from "../attached/mount-namespace.ts";
import { UsageError } from "../errors.ts";
import { GLIBC_CHOICES } from "../glibc/choice.ts";
import { MODES, modeOf, runProgram } from "../mode.ts";
import { PROFILES } from "../profiles/profiles.ts";
import { CATEGORIES, type Category, DEBUG_WORDS, Trace } from "../trace.ts";
import { addTreeOptions, collect, type TreeFlags, treeOptionsOf } from "./tree-options.ts";

interface Options extends TreeFlags {
  readonly trace?: string[];
  readonly mode?: string;
  readonly mountNamespace?: string;
}

/** `report` tells of an error and returns the exit code. */
export function execCommand(report: (error: unknown) => number): Command {
  const profiles = Object.entries(PROFILES).map(([name, { summary }]) => `  ${name.padEnd(10)}${summary}`);
  const categories = Object.entries(CATEGORIES).map(([name, summary]) => `  ${name.padEnd(10)}${summary}`);
  const command = new Command("exec")
    .summary("run a program with chosen libraries from a host tree")
    .description(
      "Run PROGRAM. Its libraries come from where they always do; those that are isolated come, with all they need, from the host tree.",
    )
    .argument("<program>", "a path, or a name that PATH has")
    .argument("[arguments...]", "the program's own");
  return addTreeOptions(command)
    .option(
      "--mount-namespace <choice>",
      `attached, on another glibc than the machine's: ${Object.keys(NAMESPACE_CHOICES).join(", ")} (default: CAPSULE_MOUNT_NAMESPACE, or auto)`,
    )
    .option(
      "--mode <mode>",
      `where the program runs: ${Object.keys(MODES).join(", ")} (default: CAPSULE_MODE, or auto)`,
    )
    .option(
      "--trace <category>",
      "tell on standard error what is done and why (repeatable, commas too; all for everything)",
      collect,
    )
    .addHelpText(
      "after",
      [
        "",
        "Profiles:",
        ...profiles,
        "",
        "Modes:",
        ...Object.entries(MODES).map(([name, summary]) => `  ${name.padEnd(12)}${summary}`),
        "",
        "Whose glibc:",
        ...Object.entries(GLIBC_CHOICES).map(([name, summary]) => `  ${name.padEnd(12)}${summary}`),
        "  DIR         that tree's",
        "",
        "A mount namespace, in which another glibc's files are in the place of the machine's:",
        ...Object.entries(NAMESPACE_CHOICES).map(([name, summary]) => `  ${name.padEnd(12)}${summary}`),
        "",
        "Trace categories:",
        ...categories,
        "",
        "Environment:",
        "  CAPSULE_PREFIX            the host tree",
        "  CAPSULE_<SONAME>_PREFIX   the host tree of one library (libGL.so.1: CAPSULE_LIBGL_SO_1_PREFIX)",
        "  CAPSULE_RUNTIME           the runtime",
        "  CAPSULE_GLIBC             whose glibc",
        "  CAPSULE_MOUNT_NAMESPACE   whether there is to be a mount namespace",
        "  CAPSULE_MODE              the mode",
        `  CAPSULE_DEBUG             as --trace, in libcapsule's words: ${Object.keys(DEBUG_WORDS).join(" ")}`,
        "",
        "Exit status: the program's own; 125 where capsule fails, 126 where the program cannot be run,",
        "127 where it is not found, 2 for a wrong command line.",
      ].join("\n"),
    )
    .passThroughOptions()
    .action((program: string, list: string[], options: Options) => {
      const trace = new Trace(categoriesOf(options.trace ?? []));
      const mode = modeOf(options.mode);
      const libc = new Libc();
      const mountNamespace = namespaceChoiceOf(options.mountNamespace);
      const fail = (error: unknown): never => libc.exitNow(report(error));
      const run = { program, arguments: list, ...treeOptionsOf(options), mountNamespace };
      runProgram(libc, run, mode, trace, fail);
    });
}

/** What --trace and CAPSULE_DEBUG ask for. */
function categoriesOf(asked: readonly string[]): Category[] {
  const all = Object.keys(CATEGORIES) as Category[];
  const debug = (process.env.CAPSULE_DEBUG ?? "")
    .split(/[\s,]+/)
    .flatMap((word) => (Object.hasOwn(DEBUG_WORDS, word) ? (DEBUG_WORDS[word] ?? []) : []));
  const named = asked.flatMap((name) => {
    if (name === "all") return all;
    if (!all.includes(name as Category))
      throw new UsageError(`There is no trace category "${name}": choose of all, ${all.join(", ")}`);
    return [name as Category];
  });
  return [...new Set([...debug, ...named])];
}
