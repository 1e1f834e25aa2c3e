// All commands.

import { Command } from "commander";
import metadata from "../../package.json" with { type: "json" };
import { completionsCommand } from "./completions.ts";
import { doctorCommand } from "./doctor.ts";
import { dumpCommand } from "./dump.ts";
import { execCommand } from "./exec.ts";
import { graphCommand } from "./graph.ts";
import { linkCommand } from "./link.ts";
import { planCommand } from "./plan.ts";
import { symbolsCommand } from "./symbols.ts";
import { treeCommand } from "./tree.ts";
import { versionCommand } from "./version.ts";
import { whyCommand } from "./why.ts";

/**
 * `report` reports an error and returns the exit code. `configure` applies common behavior to a command. Code that only
 * reads the definitions gives neither.
 */
export function rootCommand(
  report: (error: unknown) => number = () => 0,
  configure: (command: Command) => Command = (command) => command,
): Command {
  const root = configure(new Command("capsule"))
    .description("Run programs on their own libraries and the host's graphics stack.")
    .version(metadata.version)
    .enablePositionalOptions();
  for (const command of [
    execCommand(report),
    planCommand(),
    treeCommand(),
    whyCommand(),
    graphCommand(report),
    doctorCommand(),
    symbolsCommand(),
    versionCommand(),
    dumpCommand(),
    linkCommand(),
    completionsCommand(),
  ])
    root.addCommand(configure(command));
  return root;
}
