// One time limit for every test, before a file sets another. Bun 1.4.5 forgets what a preloaded script sets when it goes
// on to the next file, so each begins with it.

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
