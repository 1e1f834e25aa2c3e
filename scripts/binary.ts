// Makes build/capsule, or another file that is named, which is the command as one executable: Bun, all scripts with their
// bytecode, and what they need. The same sources, packages, Bun and file name give the same bytes.

import { join } from "node:path";
import { bundle, root, SCRIPTS } from "./bundle.ts";

const [, , outfile = join(root, "build", "capsule")] = process.argv;

await bundle(SCRIPTS, {
  // Only as modules do they have names in the executable, and not in the directory where it was made.
  format: "esm",
  bytecode: true,
  // What several scripts, or few runs, need is in files of its own.
  splitting: true,
  // The folder where a game is started must not affect it.
  compile: { outfile, autoloadDotenv: false, autoloadBunfig: false },
});
