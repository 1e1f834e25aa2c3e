// The default search directories of a tree's ld.so. They are compiled into it as consecutive strings ("/lib64/" on
// Fedora, "/lib/x86_64-linux-gnu/" on Debian) and are read from there.

import { readWhole } from "../regular-file.ts";
import { LD_SO, LOADER } from "./glibc-names.ts";
import type { Tree } from "./tree.ts";

const USUAL = ["/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64", "/lib", "/usr/lib"];

const BETWEEN = Buffer.from("/\0/");
/** More bytes than all the strings together. */
const LONGEST = 1024;
/** Places like their boundaries, of which an ld.so has six. */
const MOST_PLACES = 100;

/** Absolute paths, without a trailing slash. The usual ones if no ld.so in the tree has them. */
export function systemDirectories(tree: Tree): readonly string[] {
  const loader = ["/lib64", ...USUAL].map((directory) => tree.resolve(`${directory}/${LOADER}`)).find(Boolean);
  if (!loader) return USUAL;
  const bytes = readWhole(loader, LD_SO);
  // The boundary of two such strings; a regular expression over the whole file would take a millisecond.
  for (let at = bytes.indexOf(BETWEEN), i = 0; at >= 0 && i < MOST_PLACES; at = bytes.indexOf(BETWEEN, at + 1), i++) {
    const around = bytes.toString("latin1", Math.max(0, at - LONGEST), at + LONGEST);
    const run = /(?:\/(?:usr\/)?lib[\w./-]*\/\0){2,}/.exec(around)?.[0];
    if (run) return run.split("/\0").filter(Boolean);
  }
  return USUAL;
}
