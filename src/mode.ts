// Where a program runs: in this process, which starts it sooner, or in one of its own,
// which any program can have.

import { realpathSync } from "node:fs";
import type { Libc } from "../lib/loader/libc.ts";
import { System } from "../lib/process/system.ts";
import { launch } from "./attached/launcher.ts";
import { host } from "./capsule.ts";
import { NotHostableError, UsageError } from "./errors.ts";
import { procFiles } from "./passes/descriptors.ts";
import type { ExecOptions } from "./plan.ts";
import { locateProgram, reasonToAttach, refuseCapabilities } from "./program.ts";
import { inheritedDescriptors } from "./start-over/inherited.ts";
import type { Trace } from "./trace.ts";

export const MODES = {
  auto: "in-process where that is possible, else attached",
  "in-process": "in this process; programs that cannot be there are refused",
  attached: "in a process of its own",
} as const;

export type Mode = keyof typeof MODES;

/** What --mode asks for, or else CAPSULE_MODE. Throws UsageError. */
export function modeOf(flag: string | undefined, variable = process.env.CAPSULE_MODE): Mode {
  const name = flag ?? (variable || "auto");
  if (Object.hasOwn(MODES, name)) return name as Mode;
  const source = flag === undefined ? ", as CAPSULE_MODE says" : "";
  throw new UsageError(`There is no mode "${name}"${source}: choose of ${Object.keys(MODES).join(", ")}`);
}

/** As capsule.ts's host and launcher.ts's launch. */
export function runProgram(
  libc: Libc,
  options: ExecOptions,
  mode: Mode,
  trace: Trace,
  fail: (error: unknown) => never,
): never {
  // Before anything is opened.
  const inherited = inheritedDescriptors(procFiles);
  const executed = locateProgram(options.program);
  const path = realpathSync(executed);
  const system = new System();
  const attach = (why: string): never => {
    trace.tell("plan", () => `mode: attached, as ${why}`);
    return launch(libc, system, options, executed, inherited, trace);
  };
  if (mode === "attached") return attach("was asked for");
  if (options.mountNamespace === "always") {
    if (mode === "in-process")
      throw new UsageError(
        "Cannot run a program in-process in a mount namespace: --mount-namespace always is for --mode attached",
      );
    return attach("a mount namespace is for programs in processes of their own");
  }
  const why = mode === "auto" ? reasonToAttach(path) : undefined;
  if (why !== undefined) return attach(why);
  refuseCapabilities(path, system);
  try {
    trace.tell("plan", () => `mode: in-process, ${mode === "auto" ? "if nothing forbids it" : "as was asked for"}`);
    return host(libc, system, options, inherited, trace, fail);
  } catch (error) {
    if (mode !== "auto" || !(error instanceof NotHostableError)) throw error;
    return attach(error.reason);
  }
}
