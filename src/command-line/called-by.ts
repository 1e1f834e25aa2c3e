// The name by which this command was called. Bun resolves symbolic links in its own arguments.

import { readFileSync } from "node:fs";
import { basename } from "node:path";

/** Without its directory. `count` is the number of the command's own arguments, which follow it. */
export function calledBy(count: number): string {
  const words = readFileSync("/proc/self/cmdline", "latin1").split("\0").slice(0, -1);
  return basename(words[words.length - count - 1] ?? "");
}
