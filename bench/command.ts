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
