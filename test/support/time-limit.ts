// One time limit for every test, before a file sets another. Bun 1.4.5 forgets what a preloaded script sets when it goes
// on to the next file, so each begins with it.
//
// Where CAPSULE_TEST_QUICK is set no test starts a program: what does is in *.spawns.test.ts, which `bun run ok:quick`
// leaves out, and anything else that tries fails.

import { readFileSync } from "node:fs";
import { plugin } from "bun";

const LIMIT_MS = 60_000;

plugin({
  name: "time limit",
  setup(build) {
    build.onLoad({ filter: /\.test\.ts$/ }, ({ path }) => ({
      // On the file's first line, so that the numbers of lines stay.
      contents: `require("bun:test").setDefaultTimeout(${LIMIT_MS});${readFileSync(path, "utf8")}`,
      loader: "ts",
    }));
  },
});

if (process.env.CAPSULE_TEST_QUICK !== undefined) {
  const refuse = (): never => {
    throw new Error("Cannot start a program: a test that does so is in a file *.spawns.test.ts");
  };
  Object.assign(Bun, { spawn: refuse, spawnSync: refuse });
}
