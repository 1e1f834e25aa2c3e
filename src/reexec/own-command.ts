// The command line and environment that this process was started with.

import { readFileSync } from "node:fs";
import { stringBytesAt } from "../../lib/memory/live.ts";
import type { Libc } from "../../lib/process/libc.ts";
import { type Command, commandOf } from "./reexec.ts";

/** To be called before any of it is changed. */
export function ownCommand(libc: Libc, descriptors: ReadonlySet<number>): Command {
  const environ = libc.environment();
  return commandOf(descriptors, readFileSync("/proc/self/cmdline"), () => environ.map(stringBytesAt));
}
