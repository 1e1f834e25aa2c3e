// `capsule __complete SHELL ...`: a shell runs it at every TAB. Users do not run it, so it is in no list of commands.
// It prints no errors, since they would end up in the line that is being typed.

import type { Command } from "commander";
import { BASH } from "../command-line/bash.ts";
import type { Shell } from "../command-line/complete.ts";
import { FISH } from "../command-line/fish.ts";
import { modelOf } from "../command-line/model.ts";
import { ZSH } from "../command-line/zsh.ts";
import { EXIT } from "../diagnostics/errors.ts";
import { print } from "../diagnostics/output.ts";

export const SHELLS = { bash: BASH, zsh: ZSH, fish: FISH } as const satisfies Record<string, Shell>;

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
