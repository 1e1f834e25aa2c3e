// What dist/ and the executable are made of, and how.

import { join } from "node:path";
import type { BunPlugin } from "bun";

export const root = join(import.meta.dir, "..");

/** Each is started by itself: by a shell, by main.ts, or as a server. */
export const SCRIPTS = ["main", "exec", "command", "hosted/server", "attached/server"];

/** Scripts of the command. Ends the process, having said why, if that fails. */
export const bundle = (scripts: readonly string[], options: Partial<Bun.BuildConfig>): Promise<Bun.BuildArtifact[]> =>
  build({
    entrypoints: scripts.map((name) => join(root, "src", `${name}.ts`)),
    minify: { whitespace: true, syntax: true },
    plugins: [withoutChildProcess, ...(options.external?.includes(GRAPHVIZ) ? [graphvizBeside] : [])],
    ...options,
  });

/** In dist/. What is bundled without it in its `external` has Graphviz in it. */
export const GRAPHVIZ = "./graphviz.js";

const graphvizBeside: BunPlugin = {
  name: "keep Graphviz, which is large, in a file of its own",
  setup(build) {
    build.onResolve({ filter: /^@viz-js\/viz$/ }, () => ({ path: GRAPHVIZ, external: true }));
  },
};

/** As Bun.build, for Bun. Ends the process, having said why, if that fails. */
export async function build(options: Bun.BuildConfig): Promise<Bun.BuildArtifact[]> {
  const { success, logs, outputs } = await Bun.build({ target: "bun", throw: false, ...options });
  if (success) return outputs;
  for (const log of logs) console.error(log);
  process.exit(1);
}

const withoutChildProcess: BunPlugin = {
  name: "leave out what commander does not use here",
  setup(build) {
    // It starts subcommands that are programs of their own by child_process; ours are functions. Loading that takes 2 ms.
    build.onLoad({ filter: /\/commander\/lib\/command\.js$/ }, async ({ path }) => {
      const text = await Bun.file(path).text();
      const line = "const childProcess = require('node:child_process');";
      if (!text.includes(line))
        throw new Error(`Cannot leave child_process out of ${path}: it is not loaded as expected`);
      return { contents: text.replace(line, "const childProcess = {};"), loader: "js" };
    });
  },
};
