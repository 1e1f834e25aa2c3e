// From the start of the command to the end of the program.

import { BUN_ALONE } from "./command.ts";
import { column, RATIO, type Table } from "./report.ts";
import { inTurns, medianDuration } from "./sample.ts";
import type { Subject } from "./subjects.ts";

export function startUp(subjects: readonly Subject[], rounds: number): Table {
  const rows = subjects.map(({ name, native, capsule }) => {
    const samples = inTurns({ bun: { argv: BUN_ALONE, env: {} }, native, capsule: capsule() }, rounds);
    const [bun, plain, ours] = [samples.bun, samples.native, samples.capsule].map(medianDuration);
    if (bun === undefined || plain === undefined || ours === undefined) throw new Error("there are three medians");
    const added = ours - plain;
    return { label: name, cells: [bun, plain, ours, added, added - bun, ours / plain] };
  });
  const columns = ["Bun alone", "native", "capsule", "added", "of it, beyond Bun alone"];
  return {
    title: "From start to end, in ms",
    columns: [...columns.map((title) => column(title, 1)), RATIO],
    rows,
  };
}
