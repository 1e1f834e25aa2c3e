// The clashes of a report as a table: a row per soname, a column per namespace.

import { printable } from "../diagnostics/output.ts";
import { type Paint, type Style, widthsOf } from "../diagnostics/terminal.ts";
import type { Clash } from "./clashes.ts";
import type { Report } from "./item.ts";

export interface View {
  /**
   * 1 adds the shared set and libraries opened later, 2 what the shared set needs, 3 repeats of what was shown before.
   */
  readonly verbosity: number;
  readonly showsPaths: boolean;
  /** How deep trees are drawn: 1 has what a program needs itself. */
  readonly depth: number;
}

/** Rows shown without -v. */
const SHORT = 15;

export function clashTable(clashes: readonly Clash[], report: Report, view: View, paint: Paint): string[] {
  if (clashes.length === 0)
    return [paint("dim", "No clashes: there is no soname of which the sides have different files")];
  const sides = [
    report.program,
    ...report.capsules.filter((side) => clashes.some(({ copies }) => copies.some((copy) => copy.side === side))),
  ];
  const shown = view.verbosity > 0 ? clashes : clashes.slice(0, SHORT);
  const rows = shown.map((clash) => {
    const cells = sides.map((side) => {
      const copy = clash.copies.find((one) => one.side === side);
      return copy ? (view.showsPaths ? copy.path : copy.version || "unknown") : "";
    });
    return [clash.soname, ...cells, outcomeOf(clash)];
  });
  const own = report.program.tree === "/" ? "the program's" : report.program.tree;
  const head = ["", ...sides.map((side) => (side.host ? side.tree : own)), ""];
  const table = [head, ...rows].map((row) => row.map(printable));
  const widths = widthsOf(table);
  const lines = table.map((row) =>
    `${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  ")}`.trimEnd(),
  );
  const styles: readonly (Style | "plain")[] = ["dim", ...shown.map(({ isApart }) => (isApart ? "yellow" : "plain"))];
  const rest = clashes.length - shown.length;
  return [
    paint(
      ["yellow", "bold"],
      `${clashes.length === 1 ? "1 clash" : `${clashes.length} clashes`}: one soname, different files`,
    ),
    ...lines.map((line, i) => `  ${paint(styles[i] ?? "plain", line)}`),
    ...(rest > 0 ? [paint("dim", `  and ${rest} more (-v)`)] : []),
  ];
}

function outcomeOf({ isApart, when }: Clash): string {
  const then = { start: "", use: ", when used", later: ", if opened" }[when];
  return `${isApart ? "both, kept apart" : "the host's instead"}${then}`;
}
