// The command that is measured: the bundle that the package's bin is, by its own first line as users start it; else,
// where none has been built, the sources.

import { accessSync, constants } from "node:fs";
import { join } from "node:path";
import { repository } from "../test/support/run.ts";

const bundle = join(repository, "dist", "main.js");

export const COMMAND = isExecutable(bundle)
  ? { argv: [bundle], words: "the bundle, dist/main.js" }
  : {
      argv: [process.execPath, join(repository, "src", "main.ts")],
      words: "the sources, src/main.ts, as there is no dist/main.js",
    };

/** Bun, starting up and doing nothing. */
export const BUN_ALONE = [process.execPath, join(import.meta.dir, "nothing.ts")];

/** How a program is run: not by capsule, or by it in one of its modes. In this order in the tables. */
export const WAYS = ["native", "in-process", "attached"] as const;
export type Way = (typeof WAYS)[number];
export type Mode = Exclude<Way, "native">;

export function capsuleCommand(flags: readonly string[], argv: readonly string[]): string[] {
  return [...COMMAND.argv, "exec", ...flags, "--", ...argv];
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
    throw error;
  }
}
