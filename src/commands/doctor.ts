// `capsule doctor`: finds what would hinder a run, without running anything, and says what to do about it.

import { Command } from "commander";
import { Libc } from "../../lib/process/libc.ts";
import { System } from "../../lib/process/system.ts";
import { unless } from "../../lib/unless.ts";
import { ProgramError } from "../diagnostics/errors.ts";
import { printJson } from "../diagnostics/output.ts";
import { ownScreen, Progress } from "../diagnostics/progress.ts";
import { painter, show, widthOf } from "../diagnostics/terminal.ts";
import { examine } from "../doctor/examine.ts";
import { hinders } from "../doctor/finding.ts";
import { MachineFiles } from "../doctor/machine-files.ts";
import { dataOf, reportOf } from "../doctor/report.ts";
import type { Flags } from "../settings/layer.ts";
import type { Settings } from "../settings/settings.ts";
import { addTreeOptions } from "./add-options.ts";
import { settingsOf } from "./tree-options.ts";

/** The minimum width of the output, in columns. */
const NARROWEST = 40;

const HELP = `
Exit status: 0 where nothing hinders (warnings may be there), 1 where something does, 2 for a wrong
command line.`;

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
    .addHelpText("after", HELP)
    .action((program: string | undefined, options: Flags & { verbose?: boolean; json?: boolean }) => {
      const paths = [...pathsIn(options), ...pathsOf(process.env), ...(program?.includes("/") ? [program] : [])];
      const system = new System();
      using progress = new Progress(() => ownScreen(system, process.env));
      const { reading } = progress;
      const groups = examine(
        { settings: () => settingsFor(options, program), paths, program, reading },
        { libc: new Libc(), system, files: new MachineFiles() },
      );
      progress.erase();
      const view = { isVerbose: options.verbose ?? false, width: Math.max(NARROWEST, widthOf()) };
      if (options.json) printJson(dataOf(groups));
      else show(reportOf(groups, view, painter()));
      process.exitCode = hinders(groups) ? 1 : 0;
    });
}

/** Directories that options name. */
function pathsIn({ host, runtime, glibc, settings, isolate = [] }: Flags): string[] {
  const named = [host, runtime, glibc, settings || undefined, ...isolate.map((text) => text.split("=")[1])];
  return named.filter((path) => path !== undefined).filter((path) => path.includes("/"));
}

/** Directories that the environment names, and those where containers mount the host. */
function pathsOf(environment: Readonly<Record<string, string | undefined>>): string[] {
  const named = Object.entries(environment).map(([name, value = ""]) => (name.startsWith("CAPSULE_") ? value : ""));
  const searched = (environment.LD_LIBRARY_PATH ?? "").split(/[:;]/);
  return ["/run/host", "/host", ...[...named, ...searched].filter((path) => path.includes("/"))];
}

/** A missing program is a finding, and then no settings file beside it applies. */
const settingsFor = (options: Flags, program: string | undefined): Settings =>
  unless([ProgramError], () => settingsOf(options, program)) ?? settingsOf(options);
