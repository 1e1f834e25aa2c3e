// What it costs that a program runs on another glibc than the machine's: the same program and the same host tree, which
// are content with either, once on the machine's own and once on that of a newer release, in each way to get it.

import { column, type Table } from "./report.ts";
import { inTurns, medianDuration } from "./sample.ts";
import type { Subject, Subjects } from "./subjects.ts";

/** `newer` is a tree with a newer glibc than the machine's. */
export function otherGlibc({ glxinfo, idle }: Subjects, newer: string, rounds: number): Table {
  const columns = [
    "in-process",
    "started over",
    "added",
    "attached",
    "mount namespace",
    "added",
    "by ld.so's name",
    "added",
  ];
  return {
    title: "On another glibc than the machine's, from start to end, in ms",
    columns: columns.map((title) => column(title, 1)),
    rows: [glxinfo, idle].map((subject) => row(subject, newer, rounds)),
  };
}

function row(subject: Subject, newer: string, rounds: number): Table["rows"][number] {
  const own = ["--glibc", "runtime"];
  const other = ["--glibc", newer];
  const samples = inTurns(
    {
      hosted: subject.command("in-process", [], own),
      over: subject.command("in-process", [], other),
      attached: subject.command("attached", [], own),
      mounted: subject.command("attached", [], [...other, "--mount-namespace", "always"]),
      named: subject.command("attached", [], [...other, "--mount-namespace", "never"]),
    },
    rounds,
  );
  const [hosted, over] = [medianDuration(samples.hosted), medianDuration(samples.over)];
  const attached = medianDuration(samples.attached);
  const [mounted, named] = [medianDuration(samples.mounted), medianDuration(samples.named)];
  const cells = [hosted, over, over - hosted, attached, mounted, mounted - attached, named, named - attached];
  return { label: subject.name, cells };
}
