// Completions for shells. `capsule completions` prints the script by which a shell completes options, commands and
// arguments. At every TAB that runs `capsule __complete SHELL ...`, which is in no list of commands, as users do not run
// it. It prints no errors, since they would end up in the line that is being typed.

import { Argument, Command } from "commander";
import { BASH } from "../command-line/bash.ts";
import type { Shell } from "../command-line/complete.ts";
import { FISH } from "../command-line/fish.ts";
import { modelOf } from "../command-line/model.ts";
import { ZSH } from "../command-line/zsh.ts";
import { EXIT } from "../diagnostics/errors.ts";
import { print } from "../diagnostics/output.ts";

const SHELLS = { bash: BASH, zsh: ZSH, fish: FISH } as const satisfies Record<string, Shell>;

export const COMPLETE = "__complete";

/** Returns the exit code. */
export function answerShell(root: Command, [shell = "", ...asked]: readonly string[]): number {
  if (!Object.hasOwn(SHELLS, shell)) return EXIT.usage;
  try {
    const pieces = SHELLS[shell as keyof typeof SHELLS].answer(asked, modelOf(root));
    print(pieces.map((piece) => `${piece}\0`).join(""));
    return 0;
  } catch {
    return EXIT.failure;
  }
}

const HELP = `
To have them in every shell:
  bash   source <(capsule completions bash)      in ~/.bashrc
  zsh    source <(capsule completions zsh)       in ~/.zshrc, behind compinit
  fish   capsule completions fish | source       in ~/.config/fish/config.fish`;

export const completionsCommand = (): Command =>
  new Command("completions")
    .summary("print completions for a shell")
    .description("Print what a shell needs to complete commands, options and programs.")
    .addArgument(new Argument("<shell>", "for which").choices(Object.keys(SHELLS)))
    .addHelpText("after", HELP)
    .action((shell: keyof typeof SHELLS) => print(SHELLS[shell].stub));
