// How long each pass takes, as `--trace time` tells it. Of an attached program the server tells of its own, and boots
// while its launcher works, so they do not add up.

import type { Mode } from "./command.ts";
import { column, type Table } from "./report.ts";
import { inTurns, median } from "./sample.ts";
import type { Subject } from "./subjects.ts";

export function passes(subject: Subject, mode: Mode, rounds: number): Table {
  const { capsule } = inTurns({ capsule: subject.command(mode, [], ["--trace", "time"]) }, rounds, true);
  const runs = capsule.map(({ stderr }) => timesIn(stderr));
  const names = new Set(runs.flatMap((times) => [...times.keys()]));
  const rows = [...names].map((name) => ({
    label: name,
    cells: [median(runs.flatMap((times) => times.get(name) ?? []))],
  }));
  const sums = runs.map((times) => [...times.values()].reduce((sum, time) => sum + time, 0));
  if (mode === "in-process") rows.push({ label: "until the program's main", cells: [median(sums)] });
  return { title: `Passes of ${subject.name}, ${mode}, in ms`, columns: [column("median", 1)], rows };
}

/** By pass; one that is made for each of several host trees counts once, with its sum. */
function timesIn(stderr: string): Map<string, number> {
  const times = new Map<string, number>();
  for (const [, words = "", time] of stderr.matchAll(/^capsule: time: (.+) ([\d.]+)$/gm)) {
    const pass = words.replace(/process \d+/, "the process").replace(/\d+ answers took/, "all answers of the server");
    times.set(pass, (times.get(pass) ?? 0) + Number(time));
  }
  return times;
}
