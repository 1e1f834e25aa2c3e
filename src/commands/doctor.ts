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
import { ProgramError } from "../errors.ts";
import type { Settings } from "../settings/settings.ts";
import { print, printJson } from "./output.ts";
import { addTreeOptions, settingsOf, type TreeFlags } from "./tree-options.ts";

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
      const { host, runtime, glibc, settings, isolate = [] } = options;
      const trees = [host, runtime, glibc, settings || undefined, ...isolate.map((text) => text.split("=")[1])];
      const paths = [...trees, program].filter((path) => path !== undefined).filter((path) => path.includes("/"));
      const patient = { settings: () => settingsFor(options, program), paths, program };
      const groups = examine(patient, { libc: new Libc(), system: new System(), files: new MachineFiles() });
      if (options.json) printJson(dataOf(groups));
      else print(reportOf(groups, { isVerbose: options.verbose ?? false, ...terminal() }));
      process.exitCode = hinders(groups) ? HINDERED : 0;
    });
}

/** One that is not there is a finding, and has no settings beside it. */
function settingsFor(options: Options, program: string | undefined): Settings {
  try {
    return settingsOf(options, program);
  } catch (error) {
    if (!(error instanceof ProgramError)) throw error;
    return settingsOf(options);
  }
}

function terminal(): { isColoured: boolean; width: number } {
  const isTerminal = isatty(1);
  const isColoured = isTerminal && !process.env.NO_COLOR && process.env.TERM !== "dumb";
  return { isColoured, width: isTerminal ? Math.max(NARROWEST, process.stdout.columns ?? 80) : UNBOUNDED };
}
