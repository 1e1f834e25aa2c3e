// Resident memory of the idle program when its main has been entered, as the kernel tells the program itself.

import { WAYS } from "./command.ts";
import { column, type Table } from "./report.ts";
import { inTurns, median, type Sample } from "./sample.ts";
import type { Subjects } from "./subjects.ts";

const FIELDS = {
  VmHWM: "highest so far (VmHWM)",
  VmRSS: "now (VmRSS)",
  RssAnon: "of it, anonymous memory (RssAnon)",
  RssFile: "of it, pages of files (RssFile)",
};

export function memory({ idle }: Subjects, rounds: number): Table {
  const command = (way: (typeof WAYS)[number]) => idle.command(way, ["status"]);
  const samples = inTurns(
    { native: command("native"), "in-process": command("in-process"), attached: command("attached") },
    rounds,
    true,
  );
  return {
    title: "Resident memory of the idle program, in MB (attached: without its server)",
    columns: WAYS.map((way) => column(way, 1)),
    rows: Object.entries(FIELDS).map(([field, label]) => ({
      label,
      cells: WAYS.map((way) => megabytes(samples[way], field)),
    })),
  };
}

/** The median of a field that /proc/PID/status gives in kB. */
function megabytes(samples: readonly Sample[], field: string): number {
  const pattern = new RegExp(`^${field}:\\s+(\\d+) kB$`, "m");
  return median(samples.map(({ stdout }) => Number(pattern.exec(stdout)?.[1]) / 1024));
}
