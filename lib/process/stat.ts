// /proc/PID/stat: one line of words, the second of which is a name in parentheses that may itself contain spaces and
// parentheses.

import { readFileSync } from "node:fs";

/** Its fields; the first is number 1, as in proc(5). `pid` may also be "self", or "PID/task/TID". Throws what reading /proc throws. */
export function readStat(pid: number | string): { field(number: number): string } {
  const line = readFileSync(`/proc/${pid}/stat`, "latin1");
  const [name, end] = [line.indexOf(" ") + 1, line.lastIndexOf(")") + 1];
  const others = line.slice(end + 1).trimEnd();
  const fields = [line.slice(0, name - 1), line.slice(name, end), ...others.split(" ")];
  return { field: (number) => fields[number - 1] ?? "" };
}

/** Whether a thread has something to do: it runs, or waits for a processor, or for a disk. */
export function isBusy(pid: number | "self", thread: number | string): boolean {
  return unlessGone(() => /^[RD]$/.test(readStat(`${pid}/task/${thread}`).field(3))) ?? false;
}

/** What `read` finds in a process's directory; undefined if the process does not exist or ends meanwhile. */
export function unlessGone<Result>(read: () => Result): Result | undefined {
  try {
    return read();
  } catch (error) {
    if (!["ENOENT", "ESRCH"].includes((error as NodeJS.ErrnoException).code ?? "")) throw error;
    return undefined;
  }
}
