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

/** `report` reports an error and returns the exit code. `configure` applies common behavior to a command. */
export function rootCommand(report: (error: unknown) => number, configure: (command: Command) => Command): Command {
  const root = configure(new Command("capsule"))
    .description("Run programs on their own libraries and the host's graphics stack.")
    .version(metadata.version)
    .enablePositionalOptions();
  const commands = [
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
  ];
  for (const command of commands) root.addCommand(configure(command));
  return root;
}

/** The same, for code that only reads the definitions. */
export const allCommands = (): Command =>
  rootCommand(
    () => 0,
    (command) => command,
  );
