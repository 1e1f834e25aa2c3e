// Globs as fnmatch(3) and glob(3) have them: `*`, `?`, `[a-z]`, `[!a-z]` and a backslash before what is meant as it is.

import { readdirSync } from "node:fs";
import { LinkError } from "../link-error.ts";
import { SystemFault, unless } from "../unless.ts";
import type { Tree } from "./tree.ts";

export const isGlob = (text: string): boolean => /[*?[]/.test(text);

/** As fnmatch(3) without flags: `*` stands for slashes and leading dots, too. */
export function globPattern(glob: string): RegExp {
  let pattern = "";
  for (let at = 0; at < glob.length; ) {
    const set = /^\[([!^]?)(\]?[^\]]*)\]/.exec(glob.slice(at));
    const one = glob[at] ?? "";
    if (set) pattern += `[${set[1] ? "^" : ""}${(set[2] ?? "").replace(/[\\\][^&]/g, "\\$&")}]`;
    else if (one === "\\" && at + 1 < glob.length) pattern += literal(glob[++at] ?? "");
    else pattern += one === "*" ? ".*" : one === "?" ? "." : literal(one);
    at += set ? set[0].length : 1;
  }
  try {
    // Several stars in a row would take a time that grows with a power of the name's length.
    return new RegExp(`^${pattern.replace(/(\.\*)+/g, ".*")}$`, "su");
  } catch {
    // Such as a range that ends before it begins, which matches nothing.
    return /(?!)/;
  }
}

const literal = (character: string): string => character.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");

/** The paths in a tree that match an absolute glob, sorted. As in glob(3), `*` stands for no slash or leading dot. */
export function pathsMatching(tree: Tree, glob: string): string[] {
  let paths = [""];
  for (const part of glob.split("/").filter(Boolean)) {
    if (!isGlob(part)) {
      paths = paths.map((path) => `${path}/${part}`);
      continue;
    }
    const pattern = globPattern(part);
    paths = paths.flatMap((path) =>
      namesIn(tree, path)
        .filter((name) => pattern.test(name) && (!name.startsWith(".") || part.startsWith(".")))
        .map((name) => `${path}/${name}`),
    );
  }
  return paths.filter((path) => unlessLost(() => tree.resolve(path)) !== undefined).sort();
}

function namesIn(tree: Tree, path: string): string[] {
  const read = () => {
    const real = tree.resolve(path || "/");
    return real === undefined ? [] : readdirSync(real);
  };
  return unlessLost(read) ?? [];
}

/** Undefined for links that loop or leave the tree, and what may not be read. */
const unlessLost = <Result>(action: () => Result): Result | undefined => unless([LinkError, SystemFault], action);
