// `capsule verify`: whether programs of a container get what a folder of captured libraries promises.

import { Command } from "commander";
import { verifyFolder } from "../capture/verify.ts";
import { verifyText } from "../capture/verify-text.ts";
import type { Options } from "../command-line/options.ts";
import { jsonText, print } from "../diagnostics/output.ts";
import { painter } from "../diagnostics/terminal.ts";
import { addOptions } from "./add-options.ts";

const OPTIONS: Options = {
  "--container <dir>": "the tree that the programs are of (default: /)",
  "--provider <dir>": "the tree that links lead to (default: /)",
  "--link-target <dir>": "where the provider will be, as given to capture",
  "--ld.so <file>": "the ld.so that will be in the place of the container's",
  "--json": "as JSON",
};

interface Flags {
  readonly container?: string;
  readonly provider?: string;
  readonly linkTarget?: string;
  readonly "ld.so"?: string;
  readonly json?: boolean;
}

export function verifyCommand(): Command {
  const command = new Command("verify")
    .summary("tell whether programs get what a captured folder promises")
    .description(
      "Tell what programs of a container get with a folder in front of their own libraries (LD_LIBRARY_PATH): whether all that is needed is found, in the folder where that has it, in versions that fit. Nothing is run or loaded.",
    )
    .argument("<dir>", "the folder")
    .argument("[program...]", "programs to look at, too: paths in the container");
  return addOptions(command, OPTIONS)
    .addHelpText(
      "after",
      "\nExit status: 1 if something is not as promised, 125 where capsule fails, 2 for a wrong command line, else 0.",
    )
    .action((folder: string, programs: readonly string[], flags: Flags) => {
      const { container = "/", provider = "/", linkTarget, "ld.so": loader, json } = flags;
      const report = verifyFolder({ folder, container, provider, linkTarget, loader, programs });
      print(json ? jsonText(report) : verifyText(report, painter()));
      process.exitCode = report.faults.length > 0 ? 1 : 0;
    });
}
