// Bundles the command into dist/, with its manual page, and with bytecode: loading sixty small files takes
// 20 ms at every start, loading this takes 5. Nothing is compiled to machine code,
// and `bun src/main.ts` does the same without it.
//
// dist/ needs nothing outside it: Bun looks for a package that is missing on the network, when a game starts.

import { chmodSync, copyFileSync, readdirSync, renameSync, rmSync } from "node:fs";
import { join, normalize } from "node:path";
import metadata from "../package.json" with { type: "json" };
import * as library from "../src/index.ts";
import type { PackedScripts } from "../src/library/own-file.ts";
import { build, bundle, GRAPHVIZ, root, SCRIPTS } from "./bundle.ts";
import { GUARD, launcher, notTheLibrary } from "./launcher.ts";
import { licenses } from "./licenses.ts";
import { ownManPage } from "./man.ts";

const SCRIPTS_MODULE = "#scripts";
const dist = join(root, "dist");

// index.ts stands for the library where nothing has been built.
for (const name of readdirSync(dist)) if (name !== "index.ts") rmSync(join(dist, name), { recursive: true });
await bundle(SCRIPTS, { outdir: dist, format: "cjs", bytecode: true, external: [GRAPHVIZ] });
// With bytecode, a bundle has Bun's own first line, and no room for the launcher.
for (const ending of ["js", "js.jsc"]) renameSync(join(dist, `main.${ending}`), join(dist, `start.${ending}`));
await Bun.write(join(dist, "main.js"), launcher("./start.js"));
chmodSync(join(dist, "main.js"), 0o755);

// As it is: Bun would write its WebAssembly, which is text, twice as long.
copyFileSync(Bun.resolveSync("@viz-js/viz", root), join(dist, "graphviz.js"));

// The library, for scripts: a module, which knows its own place. As it is: Bun shows lines of it around an error that
// nobody catches.
await build({
  entrypoints: [join(root, "src/index.ts")],
  outdir: dist,
  format: "esm",
  banner: GUARD,
  external: [SCRIPTS_MODULE],
});
await Bun.write(join(dist, "not-bun.js"), notTheLibrary(Object.keys(library)));

// What it starts, for applications that bundle it, whole: nothing is beside it there.
const outputs = await bundle(SCRIPTS, { format: "cjs", external: [GRAPHVIZ] });
const named = outputs.map(async (output) => [normalize(output.path), await output.text()] as const);
const files = Object.fromEntries(await Promise.all(named));
const texts = JSON.stringify(files);
const scripts: PackedScripts = {
  key: new Bun.CryptoHasher("sha256").update(texts).digest("hex"),
  names: Object.keys(files),
  texts: Bun.zstdCompressSync(texts, { level: 19 }).toString("base64"),
};
await Bun.write(join(root, metadata.imports[SCRIPTS_MODULE]), `module.exports = ${JSON.stringify(scripts)};\n`);

await Bun.write(join(dist, "licenses.txt"), licenses());
await Bun.write(join(dist, "capsule.1"), ownManPage());
