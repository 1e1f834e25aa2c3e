// From the start of the command to the end of the program. Capsule keeps what it has read of library files from run to
// run, so the first run on a host tree is a figure of its own: with an empty cache directory every time, natively too.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BUN_ALONE } from "./command.ts";
import { column, type Table } from "./report.ts";
import { type Command, inTurns, medianDuration } from "./sample.ts";
import type { Subject, Subjects } from "./subjects.ts";

export function startUp({ glxinfo, idle }: Subjects, rounds: number): Table {
  const rows = [glxinfo, idle].flatMap((subject) => [
    row(subject.name, subject, (command) => command, rounds),
    withEmptyCache((afresh) => row(`${subject.name}, first run`, subject, afresh, rounds)),
  ]);
  const columns = ["Bun alone", "native", "in-process", "added", "attached", "added"];
  return { title: "From start to end, in ms", columns: columns.map((title) => column(title, 1)), rows };
}

function row(
  label: string,
  subject: Subject,
  change: (command: Command) => Command,
  rounds: number,
): Table["rows"][number] {
  const samples = inTurns(
    {
      bun: { argv: BUN_ALONE, env: {} },
      native: change(subject.command("native")),
      hosted: change(subject.command("in-process")),
      attached: change(subject.command("attached")),
    },
    rounds,
  );
  const bun = medianDuration(samples.bun);
  const native = medianDuration(samples.native);
  const hosted = medianDuration(samples.hosted);
  const attached = medianDuration(samples.attached);
  return { label, cells: [bun, native, hosted, hosted - native, attached, attached - native] };
}

/** `use` is given what makes a command that finds an empty cache directory at every run. */
function withEmptyCache<Result>(use: (afresh: (command: Command) => Command) => Result): Result {
  const directory = mkdtempSync(join(tmpdir(), "capsule-bench-"));
  const cache = join(directory, "cache");
  try {
    return use((command) => ({
      ...command,
      env: { ...command.env, XDG_CACHE_HOME: cache },
      prepare: () => rmSync(cache, { recursive: true, force: true }),
    }));
  } finally {
    rmSync(directory, { recursive: true });
  }
}
