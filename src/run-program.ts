// Runs a program in the mode that was asked for, or that is possible.

import { realpathSync } from "node:fs";
import type { Libc } from "../lib/process/libc.ts";
import { needProc } from "../lib/process/pid-namespace.ts";
import { runAttached } from "./attached/run-attached.ts";
import type { Trace } from "./diagnostics/trace.ts";
import { procFiles } from "./handover/descriptors.ts";
import { runInProcess } from "./hosted/run-in-process.ts";
import { inMode } from "./plan/mode.ts";
import type { ExecOptions } from "./plan/plan.ts";
import { locateProgram } from "./plan/program.ts";
import { inheritedDescriptors } from "./reexec/inherited.ts";

/** Throws as runInProcess and runAttached do; `fail` gets the later errors of an in-process program. */
export function runProgram(libc: Libc, options: ExecOptions, trace: Trace, fail: (error: unknown) => never): never {
  needProc();
  // Before anything is opened that stays open.
  const inherited = new Set(inheritedDescriptors(procFiles));
  if (trace.events) inherited.delete(trace.events.descriptor);
  const executed = locateProgram(options.program);
  return inMode<never, never>(realpathSync(executed), { ...options, isTold: trace.events !== undefined }, libc.system, {
    inProcess(why) {
      trace.log("plan", () => `mode: in-process, ${why}`);
      return runInProcess(libc, options, inherited, trace, fail);
    },
    attached(why) {
      trace.log("plan", () => `mode: attached, ${why}`);
      return runAttached(libc, options, executed, inherited, trace);
    },
  });
}
