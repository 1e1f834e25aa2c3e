// A capture for people: what comes from where, and why, in columns.

import { basename } from "node:path";
import type { Paint } from "../diagnostics/terminal.ts";
import { widthsOf } from "../diagnostics/terminal.ts";
import type { CaptureReason, CaptureReport } from "./report-data.ts";

export function captureText(report: CaptureReport, paint: Paint): string {
  const { captured, left, ignored, changes, isDryRun, destination, provider, container, loader } = report;
  const inTree = (path: string) =>
    provider !== "/" && path.startsWith(`${provider}/`) ? path.slice(provider.length) : path;
  const marks = new Map([
    ...changes.made.map((name) => [name, "+"] as const),
    ...changes.replaced.map((name) => [name, "~"] as const),
  ]);
  const lines = [`from ${provider} for ${container} into ${destination}${isDryRun ? " (nothing is written)" : ""}`];
  const rows = captured.map(({ name, path, reason, neededBy }) => [
    marks.get(name) ?? "=",
    name,
    inTree(path),
    `${because(reason)}${neededBy === null ? "" : `; for ${basename(neededBy)}`}`,
  ]);
  lines.push(...columns(rows));
  if (left.length > 0) lines.push("", "left to the container");
  lines.push(
    ...columns(left.map(({ name, container: other, reason }) => ["-", name, other ?? "none", because(reason)])),
  );
  if (ignored.length > 0) lines.push("", "ignored");
  lines.push(...ignored.map(({ pattern, why }) => `  ${pattern}: ${why}`));
  if (loader) lines.push("", `on this libc programs need its ld.so: ${loader.path} in the place of ${loader.at}`);
  const count = (names: readonly string[], word: string) => `${names.length} ${word}`;
  const sum = [count(changes.made, "new"), count(changes.replaced, "replaced"), count(changes.kept, "as they were")];
  lines.push("", sum.join(", "));
  return `${lines.map((line) => paint("plain", line)).join("\n")}\n`;
}

/** A line for each variable, as a shell and env(1) take it. */
export const environmentText = ({ environment }: CaptureReport): string =>
  environment.map(({ name, value }) => `${name}=${quotedForShell(value)}\n`).join("");

const quotedForShell = (text: string): string =>
  /^[\w./:,+@%-]*$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;

function columns(rows: readonly (readonly string[])[]): string[] {
  const widths = widthsOf(rows);
  return rows.map(
    (row) => `  ${row.map((cell, i) => (i < 3 ? cell.padEnd(i === 0 ? 1 : (widths[i] ?? 0)) : cell)).join("  ")}`,
  );
}

/** As a phrase. */
function because({ kind, by, comparisons }: CaptureReason): string {
  const last = comparisons.at(-1)?.why;
  switch (kind) {
    case "alone":
      return "the container has none";
    case "asked":
      return "asked for, whatever the container has";
    case "data":
      return "drivers read it";
    case "glibc":
      return last === undefined ? "goes with libc" : `goes with libc: ${toldOf(by, last)}`;
    case "compared":
      return toldOf(by, last ?? "");
  }
}

const toldOf = (by: CaptureReason["by"], why: string): string =>
  by === null ? `no comparison can tell, and the provider's is taken: ${why}` : `by ${by}: ${why}`;
