// Whether processes can be found in /proc by their ids. /proc shows the PID namespace it was mounted in: /proc/self is
// right in any, but /proc/PID is another process if that namespace is not ours (unshare --pid --fork without
// --mount-proc, a sandbox that binds /proc).

import { readFileSync, readlinkSync } from "node:fs";
import { LinkError } from "../link-error.ts";
import { unlessRefused } from "../unless.ts";

/** Why /proc does not have this process's ids; undefined if it does. */
export function faultOfProc(): string | undefined {
  const self = unlessRefused(() => readlinkSync("/proc/self"));
  if (self === undefined) return "/proc is missing, or is that of a PID namespace which does not have this process";
  return self === `${process.pid}` && !isNested() ? undefined : "/proc is that of another PID namespace";
}

/** The kernel lists the ids from /proc's namespace down to the process's own. */
function isNested(): boolean {
  const status = unlessRefused(() => readFileSync("/proc/self/status", "latin1")) ?? "";
  const [, numbers = ""] = /^NSpid:\s*(.*)$/m.exec(status) ?? [];
  return numbers.trim().split(/\s+/).length > 1;
}

/** The remedy. */
export const PROC_ADVICE = "have it mounted there: unshare --mount-proc, bwrap --proc /proc, mount -t proc proc /proc";

/** Throws LinkError if faultOfProc() has a fault. */
export function needProc(): void {
  const fault = faultOfProc();
  if (fault !== undefined) throw new LinkError(`Cannot find processes: ${fault} (${PROC_ADVICE})`);
}
