// `capsule` itself, with some commands or all.

import { Command } from "commander";
import metadata from "../../package.json" with { type: "json" };

/** `configure` applies common behavior to a command. */
export function rootCommand(
  commands: readonly Command[],
  configure: (command: Command) => Command = (command) => command,
): Command {
  const root = configure(new Command("capsule"))
    .description("Run programs on their own libraries and the host's graphics stack.")
    .version(metadata.version)
    .enablePositionalOptions();
  for (const command of commands) root.addCommand(configure(command));
  return root;
}
