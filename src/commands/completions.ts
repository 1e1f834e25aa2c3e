// `capsule completions`: prints the script by which a shell completes this command's options, commands and arguments.

import { Argument, Command } from "commander";
import { print } from "../diagnostics/output.ts";
import { SHELLS } from "./complete.ts";

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
    .action((shell: keyof typeof SHELLS) => print(SHELLS[shell].stub));
}
