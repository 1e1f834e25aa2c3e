// `capsule plan`: shows everything that exec would do, without doing it.

import { Command } from "commander";
import { System } from "../../lib/process/system.ts";
import { printJson } from "../diagnostics/output.ts";
import { ownScreen, Progress } from "../diagnostics/progress.ts";
import { painter, show, widthOf } from "../diagnostics/terminal.ts";
import { hookOf } from "../plan/hooks.ts";
import { planReport } from "../report/plan-report.ts";
import { planText } from "../report/plan-text.ts";
import { addRunOptions } from "./add-options.ts";
import type { RunFlags } from "./execute.ts";
import { settingsOf } from "./tree-options.ts";

export function planCommand(): Command {
  const command = new Command("plan")
    .summary("tell what exec would do, and do nothing of it")
    .description(
      "Tell how PROGRAM would be run: in which mode and on which glibc, which libraries it gets from where and why, and where each setting comes from. Nothing is run, loaded or written.",
    )
    .argument("<program>", "a path, or a name that PATH has")
    .argument("[arguments...]", "the program's own");
  return addRunOptions(command)
    .option("-v, --verbose", "also private dependencies, the shared set and the program's own libraries")
    .option("--json", "as JSON, all of it; schema/plan.schema.json in the package says what there is")
    .addHelpText("after", "\nExit status: what exec's would be where it fails, else 0.")
    .passThroughOptions()
    .action((program: string, list: string[], flags: RunFlags & { verbose?: boolean; json?: boolean }) => {
      const { hook = [], verbose = false, json = false } = flags;
      // The report contains the warnings.
      const settings = settingsOf(flags, program, () => {});
      using progress = new Progress(() => ownScreen(new System(), process.env));
      const report = planReport(program, list, settings, hook.map(hookOf), progress.reading);
      progress.erase();
      if (json) printJson(report);
      else show(planText(report, { isVerbose: verbose, width: widthOf() }, painter()));
    });
}
