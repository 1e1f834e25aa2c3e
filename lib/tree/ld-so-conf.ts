// /etc/ld.so.conf (ldconfig(8)): the directories that ldconfig scans for ld.so.cache. ld.so itself does not read it; it
// tells us where to look in a tree where ldconfig has not run.

import { readdirSync } from "node:fs";
import { dirname } from "node:path";
import { LinkError } from "../link-error.ts";
import { readWhole } from "../regular-file.ts";
import { unlessRefused } from "../unless.ts";
import type { Tree } from "./tree.ts";

const CONF = "/etc/ld.so.conf";
const CONF_FILE = { name: "ld.so.conf", most: 1 << 20 };
/** Deeper than any real nesting of includes. */
const DEPTH = 32;
/** Of lines with something in them, files and names for a pattern to match, together: a real one has dozens. */
const MOST = 4096;
/** No path is longer, in bytes. */
const PATH_MAX = 4096;

/** Paths in the tree, in order, each once; empty if there is no such file. Throws LinkError if it has no end. */
export function configuredDirectories(tree: Tree): string[] {
  return new Configuration(tree).directories;
}

class Configuration {
  readonly #found = new Set<string>();
  /** The same one again has nothing new, and may be one that includes itself. */
  readonly #read = new Set<string>();
  #count = 0;

  constructor(readonly tree: Tree) {
    this.#include(CONF, 0);
  }

  get directories(): string[] {
    return [...this.#found];
  }

  #include(path: string, depth: number): void {
    const real = this.tree.resolve(path);
    if (real === undefined || this.#read.has(real)) return;
    this.#read.add(real);
    if (depth > DEPTH)
      throw this.#endless(real, `it is included by a file that is included by another, ${DEPTH} times`);
    const text = unlessRefused(() => readWhole(real, CONF_FILE).toString());
    for (const line of text?.split("\n") ?? []) {
      const [word = "", ...rest] = line
        .replace(/#.*/, "")
        .trim()
        .split(/[\s,:]+/);
      if (word === "") continue;
      this.#spend(real, 1 + rest.length);
      if (word === "include")
        for (const pattern of rest)
          for (const file of this.#matching(pattern.startsWith("/") ? pattern : `${dirname(path)}/${pattern}`, real))
            this.#include(file, depth + 1);
      else if (word !== "hwcap") for (const directory of [word, ...rest]) this.#add(directory);
    }
  }

  /** "/usr/lib=libc6" gives the type of its libraries. */
  #add(word: string): void {
    if (!word.startsWith("/") || word.length > PATH_MAX) return;
    this.#found.add(word.replace(/=.*/, "").replace(/(?<!\/)\/+$/, "") || "/");
  }

  /** The files that a glob(7) pattern matches, in order; only its last component may have wildcards. */
  #matching(pattern: string, including: string): string[] {
    if (pattern.length > PATH_MAX) return [];
    const [directory, name] = [dirname(pattern), pattern.slice(dirname(pattern).length + 1)];
    if (!/[*?[]/.test(name)) return [pattern];
    const real = this.tree.resolve(directory);
    const names = (real && unlessRefused(() => readdirSync(real))) || [];
    this.#spend(including, names.length);
    // To glob(3) without further flags, braces and a first "!" are as any character.
    const glob = new Bun.Glob(name.replace(/[{}]|^!/g, "\\$&"));
    return names
      .filter((name) => !name.startsWith(".") && glob.match(name))
      .sort()
      .map((name) => `${directory}/${name}`);
  }

  #spend(path: string, count: number): void {
    this.#count += count;
    if (this.#count > MOST) throw this.#endless(path, `with it, ${CONF} has more than ${MOST} lines, files and names`);
  }

  #endless(path: string, why: string): LinkError {
    return new LinkError(`Cannot read "${path}": ${why}`, { object: path });
  }
}
