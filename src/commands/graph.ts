// `capsule graph`: draws both sides of a program. Nothing is run or loaded.

import { writeFileSync } from "node:fs";
import { Command } from "commander";
import { UsageError } from "../diagnostics/errors.ts";
import { print } from "../diagnostics/output.ts";
import { isTerminal } from "../diagnostics/terminal.ts";
import { dotOf, startGraphviz } from "../report/dot.ts";
import { pictureOf } from "../report/picture.ts";
import { exitCodeOf, reportOn } from "../report/report.ts";
import type { Flags } from "../settings/layer.ts";
import { addTreeOptions } from "./add-options.ts";
import { settingsFor } from "./tree-options.ts";

/** `report` reports an error and returns the exit code. */
export function graphCommand(report: (error: unknown) => number): Command {
  const command = new Command("graph")
    .summary("draw both sides of a program")
    .description(
      "Draw the libraries of a program, of a library or of a soname as an SVG picture: a box for the program's side, and one for each capsule. Nothing of it is run or loaded.",
    )
    .argument("<program>", "as capsule tree takes it");
  return addTreeOptions(command)
    .option(
      "--all",
      "leave out nothing: what is opened later, and what is of no interest on a side with many libraries",
    )
    .option("--dot", "print the source, for Graphviz, in place of the picture")
    .option("-o, --output <file>", "write to a file, not to standard output")
    .addHelpText("after", "\nExit status: as of capsule tree.")
    .action(async (name: string, options: Flags & { all?: boolean; dot?: boolean; output?: string }) => {
      try {
        if (options.output === undefined && !options.dot && isTerminal(1))
          throw new UsageError(
            "Cannot draw on a terminal: a file is needed (-o FILE.svg), or another program to pipe the picture to (--dot prints its source)",
          );
        const graphviz = options.dot ? undefined : startGraphviz();
        const found = reportOn(name, (file) => settingsFor(options, file));
        const dot = dotOf(pictureOf(found, options.all ?? false), found);
        const draw = await graphviz;
        const text = draw ? draw(dot) : dot;
        if (options.output === undefined) print(text);
        else writeFileSync(options.output, text);
        process.exitCode = exitCodeOf(found);
      } catch (error) {
        process.exit(report(error));
      }
    });
}
