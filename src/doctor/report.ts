// What a doctor has found, for people and as data.

import { printable } from "../commands/output.ts";
import { type Finding, type Group, hinders, type Level } from "./finding.ts";

const MARKS: Readonly<Record<Level, string>> = { fine: "✔", warning: "!", hindrance: "✘" };
/** SGR parameters: green, yellow, red; bold and dim. */
const COLOURS: Readonly<Record<Level, number>> = { fine: 32, warning: 33, hindrance: 31 };
const [BOLD, DIM] = [1, 2];

export interface Look {
  /** Also what is fine. */
  readonly isVerbose: boolean;
  readonly isColoured: boolean;
  /** Of the terminal, in characters. */
  readonly width: number;
}

/** A line a finding, by groups, with what to do about it below; at the end what it comes to. */
export function reportOf(groups: readonly Group[], look: Look): string {
  const paint = (code: number, text: string) => (look.isColoured ? `\x1b[${code}m${text}\x1b[m` : text);
  const lines = groups.flatMap(({ title, findings }) => {
    const shown = findings.filter(({ level }) => look.isVerbose || level !== "fine");
    if (shown.length === 0) return [];
    return [
      paint(BOLD, printable(title)),
      ...shown.flatMap(({ level, text, advice }) => [
        ...wrapped(printable(text), look.width - 4).map((line, i) =>
          i === 0 ? `  ${paint(COLOURS[level], MARKS[level])} ${line}` : `    ${line}`,
        ),
        ...(advice === undefined ? [] : wrapped(printable(advice), look.width - 6)).map((line, i) =>
          paint(DIM, `    ${i === 0 ? "→" : " "} ${line}`),
        ),
      ]),
      "",
    ];
  });
  return `${[...lines, summaryOf(groups)].join("\n")}\n`;
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

/** At spaces; a word that is longer than a line has one of its own. */
function wrapped(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const last = lines.at(-1);
    if (last === undefined || last.length + 1 + word.length > width) lines.push(word);
    else lines[lines.length - 1] = `${last} ${word}`;
  }
  return lines;
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
