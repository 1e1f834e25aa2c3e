// Whether processes are found in /proc by their numbers. It has those of the PID
// namespace that it was mounted in: /proc/self is right in any, and /proc/PID another
// process where that is not ours (unshare --pid --fork without --mount-proc, a sandbox
// that binds /proc).

import { readFileSync, readlinkSync } from "node:fs";
import { LinkError } from "../link-error.ts";
import { unlessRefused } from "../system-error.ts";

/** Why the numbers of /proc are not this process's; undefined where they are. */
export function faultOfProc(): string | undefined {
  const self = unlessRefused(() => readlinkSync("/proc/self"));
  if (self === undefined) return "/proc is missing, or is that of a PID namespace which does not have this process";
  return self === `${process.pid}` && !isNested() ? undefined : "/proc is that of another PID namespace";
}

/** The kernel lists the numbers from the namespace of /proc down to the process's own. */
function isNested(): boolean {
  const status = unlessRefused(() => readFileSync("/proc/self/status", "latin1")) ?? "";
  const [, numbers = ""] = /^NSpid:\s*(.*)$/m.exec(status) ?? [];
  return numbers.trim().split(/\s+/).length > 1;
}

/** What helps. */
export const PROC_ADVICE = "have it mounted there: unshare --mount-proc, bwrap --proc /proc, mount -t proc proc /proc";

/** Throws LinkError where faultOfProc() tells of one. */
export function needProc(): void {
  const fault = faultOfProc();
  if (fault !== undefined) throw new LinkError(`Cannot find processes: ${fault} (${PROC_ADVICE})`);
}
