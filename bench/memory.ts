// Resident memory of the idle program when its main has been entered, as the kernel tells the program itself.

import { column, RATIO, type Table } from "./report.ts";
import { inTurns, median, type Sample } from "./sample.ts";
import type { Subject } from "./subjects.ts";

const FIELDS = {
  VmHWM: "highest so far (VmHWM)",
  VmRSS: "now (VmRSS)",
  RssAnon: "of it, anonymous memory (RssAnon)",
  RssFile: "of it, pages of files (RssFile)",
};

export function memory(subjects: readonly Subject[], rounds: number): Table {
  const idle = subjects.find(({ name }) => name === "idle program");
  if (!idle) throw new Error("There is no idle program");
  const native = { ...idle.native, argv: [...idle.native.argv, "status"] };
  const samples = inTurns({ native, capsule: idle.capsule([], ["status"]) }, rounds, true);
  return {
    title: "Resident memory of the idle program, in MB",
    columns: [column("native", 1), column("capsule", 1), column("added", 1), RATIO],
    rows: Object.entries(FIELDS).map(([field, words]) => {
      const plain = megabytes(samples.native, field);
      const ours = megabytes(samples.capsule, field);
      return { label: words, cells: [plain, ours, ours - plain, ours / plain] };
    }),
  };
}

/** The median of a field that /proc/PID/status gives in kB. */
function megabytes(samples: readonly Sample[], field: string): number {
  const pattern = new RegExp(`^${field}:\\s+(\\d+) kB$`, "m");
  return median(samples.map(({ stdout }) => Number(pattern.exec(stdout)?.[1]) / 1024));
}
