// What is done, in numbers that do not depend on the machine's speed: calls of mprotect as strace counts them, and what
// the traces tell.

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BUN_ALONE } from "./command.ts";
import { column, type Table } from "./report.ts";
import { type Command, sample } from "./sample.ts";
import type { Subjects } from "./subjects.ts";

export function counts({ glxinfo, idle }: Subjects): Table {
  const subjects = [glxinfo, idle];
  const all = subjects.map((subject) => {
    const { stderr } = sample(subject.command("in-process", [], ["--trace", "all"]), true);
    const [, protections, slots] = /mprotect (\d+) times, (\d+) slots written/.exec(stderr) ?? [];
    const attached = sample(subject.command("attached", [], ["--trace", "all"]), true).stderr;
    const opened = [...stderr.matchAll(/^capsule: capsule: opening (.+)$/gm)].flatMap(([, list = ""]) =>
      list.split(" "),
    );
    return [
      mprotectCalls({ argv: BUN_ALONE, env: {} }),
      mprotectCalls(subject.command("native")),
      mprotectCalls(subject.command("in-process")),
      Number(protections),
      Number(slots),
      Number(/(\d+) answers took/.exec(attached)?.[1]),
      new Set(opened.filter((path) => path !== "nothing")).size,
      [...stderr.matchAll(/ (?:mirrored as|libc mirror) /g)].length,
      [...stderr.matchAll(/ shown to the program by /g)].length,
    ];
  });
  const labels = [
    "mprotect calls, Bun alone",
    "mprotect calls, native",
    "mprotect calls, in-process (Bun's and glibc's among them)",
    "of these, by capsule itself until main",
    "slots written until main, in-process",
    "answers of the server, attached",
    "libraries opened from the host tree",
    "mirrors of the shared set",
    "shims",
  ];
  return {
    title: "Counts",
    columns: subjects.map(({ name }) => column(name, 0)),
    rows: labels.map((label, i) => ({ label, cells: all.map((numbers) => numbers[i]) })),
  };
}

/** Of the process and all its threads and children; undefined without strace. */
function mprotectCalls(command: Command): number | undefined {
  if (Bun.which("strace") === null) return undefined;
  const directory = mkdtempSync(join(tmpdir(), "capsule-bench-"));
  try {
    const log = join(directory, "log");
    sample({ ...command, argv: ["strace", "-f", "-o", log, "-e", "trace=mprotect", "--", ...command.argv] });
    return [...readFileSync(log, "utf8").matchAll(/ mprotect\(/g)].length;
  } finally {
    rmSync(directory, { recursive: true });
  }
}
