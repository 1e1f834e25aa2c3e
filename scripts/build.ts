// Bundles the command into dist/, with its manual page, and with bytecode: loading sixty small files takes
// 20 ms at every start, loading this takes 5. Nothing is compiled to machine code,
// and `bun src/main.ts` does the same without it.

import { rmSync } from "node:fs";
import { join } from "node:path";
import metadata from "../package.json" with { type: "json" };
import { allCommands } from "../src/commands/all.ts";
import { rootCommand } from "../src/commands/root.ts";
import { manPage } from "./man.ts";

const root = join(import.meta.dir, "..");

const told = ({ success, logs }: Bun.BuildOutput): void => {
  if (success) return;
  for (const log of logs) console.error(log);
  process.exit(1);
};

rmSync(join(root, "dist"), { recursive: true, force: true });
const result = await Bun.build({
  entrypoints: ["src/main.ts", "src/exec.ts", "src/command.ts", "src/hosted/server.ts", "src/attached/server.ts"].map(
    (file) => join(root, file),
  ),
  outdir: join(root, "dist"),
  target: "bun",
  format: "cjs",
  bytecode: true,
  // What only a few runs need: in the bundle all would load it.
  external: ["smol-toml", "@viz-js/viz"],
  minify: { whitespace: true, syntax: true },
  plugins: [
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

// The library, for scripts: a module, which knows its own place.
told(
  await Bun.build({
    entrypoints: [join(root, "src/index.ts")],
    outdir: join(root, "dist"),
    target: "bun",
    format: "esm",
    // As it is: Bun shows lines of it around an error that nobody catches.
  }),
);

// Whoever wants the same bytes again says when (reproducible-builds.org).
const { SOURCE_DATE_EPOCH: epoch } = process.env;
const date = epoch === undefined ? new Date() : new Date(Number(epoch) * 1000);
await Bun.write(
  join(root, "dist", "capsule.1"),
  manPage(rootCommand(allCommands()), metadata.version, date.toISOString().slice(0, 10)),
);
