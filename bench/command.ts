// The command that is measured: the bundle that the package's bin runs, where it has been built, else the sources.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { repository } from "../test/support/run.ts";

const bundle = join(repository, "dist", "main.js");

export const COMMAND = existsSync(bundle)
  ? { file: bundle, words: "the bundle dist/main.js" }
  : { file: join(repository, "src", "main.ts"), words: "the sources, src/main.ts (no dist/main.js)" };

/** Bun, starting up and doing nothing. */
export const BUN_ALONE = [process.execPath, join(import.meta.dir, "nothing.ts")];

export function capsuleCommand(flags: readonly string[], argv: readonly string[]): string[] {
  return [process.execPath, COMMAND.file, "exec", ...flags, "--", ...argv];
}
