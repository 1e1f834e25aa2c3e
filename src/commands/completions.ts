// `capsule completions`: what a shell needs to complete this command's options,
// commands and arguments.

import { Argument, Command } from "commander";
import { bashCompletions } from "../command-line/bash.ts";
import { fishCompletions } from "../command-line/fish.ts";
import { type Model, modelOf } from "../command-line/model.ts";
import { zshCompletions } from "../command-line/zsh.ts";
import { print } from "../diagnostics/output.ts";

const SHELLS = { bash: bashCompletions, zsh: zshCompletions, fish: fishCompletions } as const satisfies Record<
  string,
  (model: Model) => string
>;

export function completionsCommand(): Command {
  return new Command("completions")
    .summary("print completions for a shell")
    .description("Print what a shell needs to complete commands, options and programs.")
    .addArgument(new Argument("<shell>", "for which").choices(Object.keys(SHELLS)))
    .addHelpText(
      "after",
      [
        "",
        "To have them in every shell:",
        "  bash   source <(capsule completions bash)      in ~/.bashrc",
        "  zsh    source <(capsule completions zsh)       in ~/.zshrc, behind compinit",
        "  fish   capsule completions fish | source       in ~/.config/fish/config.fish",
      ].join("\n"),
    )
    .action((shell: keyof typeof SHELLS, _: unknown, { parent }: Command) => {
      if (parent) print(SHELLS[shell](modelOf(parent)));
    });
}
