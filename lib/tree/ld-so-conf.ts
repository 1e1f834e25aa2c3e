// /etc/ld.so.conf (ldconfig(8)): the directories that ldconfig scans for ld.so.cache. ld.so itself does not read it; it
// tells us where to look in a tree where ldconfig has not run.

import { readdirSync, readFileSync } from "node:fs";
import { dirname } from "node:path";
import { unlessRefused } from "../unless.ts";
import type { Tree } from "./tree.ts";

const CONF = "/etc/ld.so.conf";
/** Deeper than any real nesting of includes; it ends cycles. */
const DEPTH = 8;

/** Paths in the tree, in order, each once; empty if there is no such file. */
export function configuredDirectories(tree: Tree): string[] {
  return [...new Set(directoriesIn(tree, CONF, 0))];
}

function directoriesIn(tree: Tree, path: string, depth: number): string[] {
  const real = depth > DEPTH ? undefined : tree.resolve(path);
  const text = real && unlessRefused(() => readFileSync(real, "utf8"));
  if (!text) return [];
  return text.split("\n").flatMap((line) => {
    const [word = "", ...rest] = line
      .replace(/#.*/, "")
      .trim()
      .split(/[\s,:]+/);
    if (word === "include") {
      const patterns = rest.map((pattern) => (pattern.startsWith("/") ? pattern : `${dirname(path)}/${pattern}`));
      return patterns
        .flatMap((pattern) => matching(tree, pattern))
        .flatMap((file) => directoriesIn(tree, file, depth + 1));
    }
    if (word === "hwcap") return [];
    // "/usr/lib=libc6" gives the type of its libraries
    return [word, ...rest]
      .map((directory) => directory.replace(/=.*/, "").replace(/(.)\/+$/, "$1"))
      .filter((directory) => directory.startsWith("/"));
  });
}

/** The files that match a glob(7) pattern, in order; only its last component may have wildcards. */
function matching(tree: Tree, pattern: string): string[] {
  const [directory, name] = [dirname(pattern), pattern.slice(dirname(pattern).length + 1)];
  if (!/[*?[]/.test(name)) return [pattern];
  const real = tree.resolve(directory);
  const names = (real && unlessRefused(() => readdirSync(real))) || [];
  const glob = new Bun.Glob(name);
  return names
    .filter((name) => !name.startsWith(".") && glob.match(name))
    .sort()
    .map((name) => `${directory}/${name}`);
}
