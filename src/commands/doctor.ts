// `capsule doctor`: what would hinder a run, found out without one, and what to do
// about it.

import { isatty } from "node:tty";
import { Command } from "commander";
import { Libc } from "../../lib/loader/libc.ts";
import { System } from "../../lib/process/system.ts";
import { examine } from "../doctor/examine.ts";
import { hinders } from "../doctor/finding.ts";
import { MachineFiles } from "../doctor/machine-files.ts";
import { dataOf, reportOf } from "../doctor/report.ts";
import { print, printJson } from "./output.ts";
import { addTreeOptions, type TreeFlags, treeOptionsOf } from "./tree-options.ts";

interface Options extends TreeFlags {
  readonly verbose?: boolean;
  readonly json?: boolean;
}

/** Of its own: that something hinders. */
const HINDERED = 1;
/** Of lines in a file or a pipe, and the least that a terminal gets, in characters. */
const [UNBOUNDED, NARROWEST] = [Number.POSITIVE_INFINITY, 40];

export function doctorCommand(): Command {
  const command = new Command("doctor")
    .summary("say what would hinder, and what to do about it")
    .description(
      "Look at the machine, the host tree, its drivers and the display for what would hinder a run, and with PROGRAM at that, too. Nothing is run or changed.",
    )
    .argument("[program]", "a path, or a name that PATH has");
  return addTreeOptions(command)
    .option("-v, --verbose", "also what is fine")
    .option("--json", "as JSON: an object of hinders and findings, each of group, check, level, text, advice")
    .addHelpText(
      "after",
      [
        "",
        "Exit status: 0 where nothing hinders (warnings may be there), 1 where something does, 2 for a wrong",
        "command line.",
      ].join("\n"),
    )
    .action((program: string | undefined, options: Options) => {
      const { host, runtime, glibc, profile = [], isolate = [] } = options;
      const isPath = (text: string | undefined) => text?.includes("/") === true;
      const named = [host, runtime, glibc, program, ...isolate.map((text) => text.split("=")[1])].filter(isPath);
      const patient = {
        options: treeOptionsOf(options),
        asked: new Set(profile),
        paths: named.filter((path) => path !== undefined),
        program,
      };
      const groups = examine(patient, { libc: new Libc(), system: new System(), files: new MachineFiles() });
      if (options.json) printJson(dataOf(groups));
      else print(reportOf(groups, { isVerbose: options.verbose ?? false, ...terminal() }));
      process.exitCode = hinders(groups) ? HINDERED : 0;
    });
}

function terminal(): { isColoured: boolean; width: number } {
  const isTerminal = isatty(1);
  const isColoured = isTerminal && !process.env.NO_COLOR && process.env.TERM !== "dumb";
  return { isColoured, width: isTerminal ? Math.max(NARROWEST, process.stdout.columns ?? 80) : UNBOUNDED };
}
