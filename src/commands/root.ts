// `capsule` itself, with some commands or all.

import { Command, Option } from "commander";
import metadata from "../../package.json" with { type: "json" };
import { print } from "../diagnostics/output.ts";

/** `configure` applies common behavior to a command. */
export function rootCommand(
  commands: readonly Command[],
  configure: (command: Command) => Command = (command) => command,
): Command {
  const root = configure(new Command("capsule"))
    .description("Run programs on their own libraries and the host's graphics stack.")
    .version(metadata.version, "-v, --version", "print the version")
    // As it was called before, and as commander calls it.
    .addOption(new Option("-V").hideHelp())
    .on("option:V", () => {
      print(`${metadata.version}\n`);
      process.exit(0);
    })
    .enablePositionalOptions();
  for (const command of commands) root.addCommand(configure(command));
  return root;
}
