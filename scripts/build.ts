// Bundles the command into dist/, with its manual page, and with bytecode: loading sixty small files takes
// 20 ms at every start, loading this takes 5. Nothing is compiled to machine code,
// and `bun src/main.ts` does the same without it.
//
// dist/ needs nothing outside it: Bun looks for a package that is missing on the network, when a game starts.

import { chmodSync, copyFileSync, readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import metadata from "../package.json" with { type: "json" };
import { allCommands } from "../src/commands/all.ts";
import { rootCommand } from "../src/commands/root.ts";
import * as library from "../src/index.ts";
import { GUARD, launcher, notTheLibrary } from "./launcher.ts";
import { licenses } from "./licenses.ts";
import { manPage } from "./man.ts";

const root = join(import.meta.dir, "..");
const dist = join(root, "dist");

const told = ({ success, logs }: Bun.BuildOutput): void => {
  if (success) return;
  for (const log of logs) console.error(log);
  process.exit(1);
};

// index.ts stands for the library where nothing has been built.
for (const name of readdirSync(dist)) if (name !== "index.ts") rmSync(join(dist, name), { recursive: true });
const result = await Bun.build({
  entrypoints: ["src/main.ts", "src/exec.ts", "src/command.ts", "src/hosted/server.ts", "src/attached/server.ts"].map(
    (file) => join(root, file),
  ),
  outdir: dist,
  target: "bun",
  format: "cjs",
  bytecode: true,
  minify: { whitespace: true, syntax: true },
  plugins: [
    {
      name: "keep Graphviz, which is large, in a file of its own",
      setup(build) {
        build.onResolve({ filter: /^@viz-js\/viz$/ }, () => ({ path: "./graphviz.js", external: true }));
      },
    },
    {
      name: "leave out what commander does not use here",
      setup(build) {
        // It starts subcommands that are programs of their own by child_process; ours are functions. Loading that takes
        // 2 ms.
        build.onLoad({ filter: /\/commander\/lib\/command\.js$/ }, async ({ path }) => {
          const text = await Bun.file(path).text();
          const line = "const childProcess = require('node:child_process');";
          if (!text.includes(line))
            throw new Error(`Cannot leave child_process out of ${path}: it is not loaded as expected`);
          return { contents: text.replace(line, "const childProcess = {};"), loader: "js" };
        });
      },
    },
  ],
});
told(result);
// With bytecode, a bundle has Bun's own first line, and no room for the launcher.
for (const ending of ["js", "js.jsc"]) renameSync(join(dist, `main.${ending}`), join(dist, `start.${ending}`));
await Bun.write(join(dist, "main.js"), launcher("./start.js"));
chmodSync(join(dist, "main.js"), 0o755);

// As it is: Bun would write its WebAssembly, which is text, twice as long.
copyFileSync(Bun.resolveSync("@viz-js/viz", root), join(dist, "graphviz.js"));

// The library, for scripts: a module, which knows its own place.
told(
  await Bun.build({
    entrypoints: [join(root, "src/index.ts")],
    outdir: dist,
    target: "bun",
    format: "esm",
    banner: GUARD,
    // As it is: Bun shows lines of it around an error that nobody catches.
  }),
);
await Bun.write(join(dist, "not-bun.js"), notTheLibrary(Object.keys(library)));

await Bun.write(join(dist, "licenses.txt"), licenses());

// Whoever wants the same bytes again says when (reproducible-builds.org).
const { SOURCE_DATE_EPOCH: epoch } = process.env;
const date = epoch === undefined ? new Date() : new Date(Number(epoch) * 1000);
await Bun.write(
  join(dist, "capsule.1"),
  manPage(rootCommand(allCommands()), metadata.version, date.toISOString().slice(0, 10)),
);
