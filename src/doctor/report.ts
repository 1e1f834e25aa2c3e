// The findings of a doctor, as text and as data.

import { type Paint, type Style, wrapped } from "../diagnostics/terminal.ts";
import { type Finding, type Group, hinders, type Level } from "./finding.ts";

const MARKS: Readonly<Record<Level, readonly [mark: string, style: Style]>> = {
  fine: ["✔", "green"],
  warning: ["!", "yellow"],
  hindrance: ["✘", "red"],
};

interface View {
  /** Whether to show findings that are fine. */
  readonly isVerbose: boolean;
  /** In columns. */
  readonly width: number;
}

/** Findings grouped by title, each with its advice below, and a summary at the end. */
export function reportOf(groups: readonly Group[], { isVerbose, width }: View, paint: Paint): string {
  const lines = groups.flatMap(({ title, findings }) => {
    const shown = findings.filter(({ level }) => isVerbose || level !== "fine");
    if (shown.length === 0) return [];
    return [paint("bold", title), ...shown.flatMap((finding) => linesOf(finding, width, paint)), ""];
  });
  return `${[...lines, summaryOf(groups)].join("\n")}\n`;
}

function linesOf({ level, text, advice }: Finding, width: number, paint: Paint): string[] {
  const [mark, style] = MARKS[level];
  const told = wrapped(text, width - 4).map(
    (line, i) => `  ${i === 0 ? paint(style, mark) : " "} ${paint("plain", line)}`,
  );
  const advised = advice === undefined ? [] : wrapped(advice, width - 6);
  return [...told, ...advised.map((line, i) => paint("dim", `    ${i === 0 ? "→" : " "} ${line}`))];
}

function summaryOf(groups: readonly Group[]): string {
  const all = groups.flatMap(({ findings }) => findings);
  const count = (level: Level) => all.filter((finding) => finding.level === level).length;
  const [hindrances, warnings] = [count("hindrance"), count("warning")];
  const checks = `${all.length} things were looked at`;
  if (hindrances + warnings === 0) return `Nothing hinders: ${checks}.`;
  const may = warnings === 0 ? "" : `${warnings === 1 ? "one thing" : `${warnings} things`} may`;
  if (hindrances === 0) return `Nothing hinders, ${may}: ${checks}.`;
  const do_ = hindrances === 1 ? "One thing hinders" : `${hindrances} things hinder`;
  return `${do_}${may && `, ${may}`}: ${checks}.`;
}

/** As --json prints it. */
export interface DoctorReport {
  readonly hinders: boolean;
  readonly findings: readonly (Finding & { readonly group: string })[];
}

export const dataOf = (groups: readonly Group[]): DoctorReport => ({
  hinders: hinders(groups),
  findings: groups.flatMap(({ title, findings }) => findings.map((finding) => ({ group: title, ...finding }))),
});
