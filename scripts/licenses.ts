// The licences of what lies in dist/ and is not ours.

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

const PACKAGES = ["commander", "smol-toml", "@viz-js/viz"] as const;

/** What a package does not say itself. */
const NOTES: Readonly<Record<string, string>> = {
  "@viz-js/viz":
    "Copyright (c) Michael Daines, MIT License. It contains Graphviz (https://graphviz.org, Eclipse Public License 1.0) and\nExpat (https://libexpat.github.io, MIT License).",
};

export function licenses(): string {
  return PACKAGES.map((name) => {
    const folder = join(import.meta.dir, "..", "node_modules", name);
    const { version } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
    const license = join(folder, "LICENSE");
    const text = existsSync(license) ? readFileSync(license, "utf8").trim() : NOTES[name];
    if (text === undefined) throw new Error(`Cannot tell the licence of ${name}: it has no file LICENSE`);
    return `${name} ${version}\n\n${text}\n`;
  }).join(`\n${"-".repeat(80)}\n\n`);
}
