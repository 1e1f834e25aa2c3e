// `capsule tree`: shows what a program needs on both sides, and why each file was found. Nothing is run or loaded.

import { Command } from "commander";
import { print, printJson } from "../diagnostics/output.ts";
import { painter } from "../diagnostics/terminal.ts";
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
is, where one needs a newer glibc than all of it runs on, or capsule fails; 2 for a wrong command line, else 0.`;

export function treeCommand(): Command {
  const command = new Command("tree")
    .summary("show what a program needs on both sides, and why")
    .description(
      "Draw the libraries of a program, of a library or of a soname as trees: those of the program's side, and those of each capsule. Nothing is run or loaded.",
    )
    .argument("<program>", "a path, or a name that PATH has; or a library's file, or a soname");
  return addTreeOptions(command)
    .option("-v, --verbose", "show more: see below", (_, before: number) => before + 1, 0)
    .option("-p, --path", "show paths in place of names")
    .option("--json", "as JSON, all of it")
    .addHelpText("after", HELP)
    .action((name: string, options: Flags & { verbose: number; path?: boolean; json?: boolean }) => {
      const report = reportOn(name, (file) => settingsFor(options, file));
      const view = { verbosity: options.verbose, showsPaths: options.path ?? false };
      if (options.json) printJson(jsonOf(report));
      else print(treeText(report, view, painter()));
      process.exitCode = exitCodeOf(report);
    });
}
