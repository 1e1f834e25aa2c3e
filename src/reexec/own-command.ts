// The command that this process was started as.

import { readFileSync } from "node:fs";
import { stringBytesAt } from "../../lib/memory/live.ts";
import type { Libc } from "../../lib/process/libc.ts";
import { type Command, commandOf } from "./restart.ts";

/** To be asked before anything of it is changed. */
export function ownCommand(libc: Libc, descriptors: ReadonlySet<number>): Command {
  const environ = libc.environment();
  return commandOf(descriptors, readFileSync("/proc/self/cmdline"), () => environ.map(stringBytesAt));
}
