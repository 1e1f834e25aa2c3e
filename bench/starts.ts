// What programs cost that a program starts, when it runs already: natively, and where it runs in the capsule, in which
// case each of them is served by the same server. A small program of our own starts them, one after the other.

import { WAYS, type Way } from "./command.ts";
import { column, type Table } from "./report.ts";
import { inTurns, median, type Sample } from "./sample.ts";
import type { Subjects } from "./subjects.ts";

/**
 * Starts by one runner. The first one is another figure (it starts the server of a program in-process), and left out.
 */
const STARTS = 30;

export function starts({ glxinfo, idle, runner, nothing }: Subjects, rounds: number): Table {
  const cases: [label: string, paths: "kept" | "none", argv: readonly string[]][] = [
    ["a program that needs no isolated library", "kept", [nothing]],
    ["the same, without LD_LIBRARY_PATH", "none", [nothing]],
    ["one linked to libGL and libX11, idle", "kept", idle.argv],
    ["glxinfo -B", "kept", glxinfo.argv],
  ];
  const rows = cases.map(([label, paths, argv]) => {
    // natively the library path is what the isolated libraries come by, which who needs none has no use for
    const isPlain = paths === "kept" && argv[0] === nothing;
    const args = (way: Way) => [`${STARTS}`, isPlain && way === "native" ? "none" : paths, ...argv];
    const samples = inTurns(
      {
        native: runner.command("native", args("native")),
        "in-process": runner.command("in-process", args("in-process")),
        attached: runner.command("attached", args("attached")),
      },
      rounds,
      true,
    );
    const [native = 0, hosted = 0, attached = 0] = WAYS.map((way) => milliseconds(samples[way]));
    return { label, cells: [native, hosted, attached, attached - native] };
  });
  return {
    title: "A program that a running one starts, from start to end, in ms",
    columns: [...["native", "by one in-process", "by one attached", "added"].map((title) => column(title, 2))],
    rows,
  };
}

/** The median of the samples' medians. */
function milliseconds(samples: readonly Sample[]): number {
  return median(samples.map(({ stdout }) => median(stdout.trim().split("\n").slice(1).map(Number))));
}
