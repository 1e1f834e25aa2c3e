// From the start of the command to the end of the program. Capsule keeps what it has read of library files from run to
// run, so the first run on a host tree is a figure of its own: with an empty cache directory every time, natively too.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BUN_ALONE } from "./command.ts";
import { column, RATIO, type Table } from "./report.ts";
import { type Command, inTurns, medianDuration } from "./sample.ts";
import type { Subject } from "./subjects.ts";

export function startUp(subjects: readonly Subject[], rounds: number): Table {
  const rows = subjects.flatMap(({ name, native, capsule }) => [
    row(name, native, capsule(), rounds),
    withEmptyCache((afresh) => row(`${name}, first run`, afresh(native), afresh(capsule()), rounds)),
  ]);
  const columns = ["Bun alone", "native", "capsule", "added", "of it, beyond Bun alone"];
  return { title: "From start to end, in ms", columns: [...columns.map((title) => column(title, 1)), RATIO], rows };
}

function row(label: string, native: Command, capsule: Command, rounds: number): Table["rows"][number] {
  const samples = inTurns({ bun: { argv: BUN_ALONE, env: {} }, native, capsule }, rounds);
  const bun = medianDuration(samples.bun);
  const plain = medianDuration(samples.native);
  const ours = medianDuration(samples.capsule);
  const added = ours - plain;
  return { label, cells: [bun, plain, ours, added, added - bun, ours / plain] };
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
