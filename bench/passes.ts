// How long each pass takes, as `--trace time` tells it.

import { column, type Table } from "./report.ts";
import { inTurns, median } from "./sample.ts";
import type { Subject } from "./subjects.ts";

export function passes(subject: Subject, rounds: number): Table {
  const { capsule } = inTurns({ capsule: subject.capsule(["--trace", "time"]) }, rounds, true);
  const times = new Map<string, number[]>();
  const sums: number[] = [];
  for (const { stderr } of capsule) {
    let sum = 0;
    for (const [pass, time] of timesIn(stderr)) {
      times.set(pass, [...(times.get(pass) ?? []), time]);
      sum += time;
    }
    sums.push(sum);
  }
  return {
    title: `Passes of ${subject.name}, in ms`,
    columns: [column("median", 1)],
    rows: [
      ...[...times].map(([pass, list]) => ({ label: pass, cells: [median(list)] })),
      { label: "until the program's main", cells: [median(sums)] },
    ],
  };
}

/** By pass; one that is made for each of several host trees counts once, with its sum. */
function timesIn(stderr: string): Map<string, number> {
  const times = new Map<string, number>();
  for (const [, pass = "", time] of stderr.matchAll(/^capsule: time: (.+) ([\d.]+)$/gm))
    times.set(pass, (times.get(pass) ?? 0) + Number(time));
  return times;
}
