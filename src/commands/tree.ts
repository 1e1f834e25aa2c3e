// `capsule tree`: shows what a program needs on both sides, or natively, and why each file was found. Nothing is run or
// loaded.

import { Command, InvalidArgumentError, Option } from "commander";
import { printJson } from "../diagnostics/output.ts";
import { painter, show } from "../diagnostics/terminal.ts";
import { jsonOf } from "../report/json.ts";
import { exitCodeOf, reportOn } from "../report/report.ts";
import { treeText } from "../report/tree-text.ts";
import type { Flags } from "../settings/layer.ts";
import { addTreeOptions } from "./add-options.ts";
import { settingsFor } from "./tree-options.ts";

const HELP = `
By default the shared set (glibc's libraries and libgcc_s), what was shown before, and what libraries need that
the program might open later, are left out:
  -v    show these
  -vv   also what the shared set needs
  -vvv  also what libraries need that were shown before, up to 10,000 times

Exit status: 127 where a library of the program's side is missing; 125 where one that a capsule opens at the start
is, where one needs a newer glibc than all of it runs on, or capsule fails; 2 for a wrong command line, else 0; of
several programs the highest.`;

/** `report` reports an error and returns the exit code. */
export function treeCommand(report: (error: unknown) => number): Command {
  const command = new Command("tree")
    .summary("show what a program needs on both sides, and why")
    .description(
      "Draw the libraries of a program, of a library or of a soname as trees: those of the program's side, and those of each capsule. Nothing is run or loaded.",
    )
    .argument("<program...>", "a path, or a name that PATH has; or a library's file, or a soname");
  return addTreeOptions(command)
    .addOption(new Option("--native", "without capsules, as the program's own ld.so links it").conflicts(OF_CAPSULES))
    .addOption(
      new Option("--max-depth <number>", "no deeper than this: 1 is what a program needs itself").argParser(depthOf),
    )
    .option("-v, --verbose", "show more: see below", (_, before: number) => before + 1, 0)
    .option("-p, --path", "show paths in place of names")
    .option("--json", "as JSON, all of it; of several programs an array")
    .addHelpText("after", HELP)
    .action((names: readonly string[], options: TreeFlags) => {
      const { native = false, maxDepth = Number.POSITIVE_INFINITY, verbose, path = false } = options;
      const view = { verbosity: verbose, showsPaths: path, depth: maxDepth };
      const all: object[] = [];
      const codes = names.map((name, i) => {
        try {
          const found = reportOn(name, (file) => settingsFor(options, file), native);
          if (options.json) all.push(jsonOf(found));
          else show(`${i > 0 ? "\n" : ""}${treeText(found, view, painter())}`);
          return exitCodeOf(found);
        } catch (error) {
          // Of one file of several: the others are shown all the same.
          if (names.length === 1) throw error;
          return report(error);
        }
      });
      if (options.json) printJson(names.length === 1 ? all[0] : all);
      process.exitCode = Math.max(...codes);
    });
}

interface TreeFlags extends Flags {
  readonly native?: boolean;
  readonly maxDepth?: number;
  readonly verbose: number;
  readonly path?: boolean;
  readonly json?: boolean;
}

/** Options that mean nothing without a capsule. */
const OF_CAPSULES = ["host", "hostLibraries", "hostShares", "isolate", "profile", "glibc"];

function depthOf(text: string): number {
  if (/^\d+$/.test(text)) return Number(text);
  throw new InvalidArgumentError("A number of levels is needed, such as 1.");
}
