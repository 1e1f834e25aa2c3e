// A plan as text: what people ask about most comes first, and long lists appear only on request. Paths in a tree are
// shown without the tree.

import { basename } from "node:path";
import { inLines, type Paint, widthsOf } from "../diagnostics/terminal.ts";
import type {
  GlibcWay,
  IsolatedLibrary,
  PlannedCapsule,
  PlannedLibrary,
  PlannedSource,
  PlanReport,
} from "./plan-data.ts";

interface View {
  readonly isVerbose: boolean;
  /** In columns. Lists of words wrap at it. */
  readonly width: number;
}

export function planText(report: PlanReport, view: View, paint: Paint): string {
  const page = new Page(view.width, paint);
  head(page, report);
  for (const capsule of report.capsules) capsulePart(page, capsule, view);
  if (view.isVerbose) {
    if (report.libraries && report.libraries.length > 0) {
      page.title("the program's own libraries");
      page.rows(report.libraries.map((one) => [one.soname, one.path, reasonText(one)]));
    }
    page.title("shared set", "one copy of each for the whole process");
    page.rows(
      report.shared.map(({ soname, path, neededBy }) => [soname, path, `for ${counted(neededBy.length, "library")}`]),
    );
  }
  page.title("settings");
  page.rows(report.settings.map(({ name, value, source }) => [name, shownValue(value), sourceText(source)]));
  if (report.warnings.length > 0) page.title("warnings");
  for (const warning of report.warnings) page.warning(warning);
  return page.text;
}

function head(page: Page, { program, mode, runtime, glibc, libraries, aliases, shared }: PlanReport): void {
  page.title(program.path);
  if (program.kind === "script") page.entry("script of", program.interpreter.join(" "));
  if (program.arguments.length > 0) page.entry("arguments", program.arguments.join(" "));
  page.entry("mode", `${mode.name}, ${mode.why}`);
  page.entry("runtime", runtime.tree, runtime.libraryPath.length > 0 ? `behind ${runtime.libraryPath.join(" ")}` : "");
  const others = glibc.others.map(({ version, whose }) => `${version}, ${whose}`).join("; ");
  const why = glibc.isAskedFor ? "as was asked for, and not" : "no older than";
  page.entry("glibc", `${glibc.version}, ${glibc.whose}`, others && `${why} ${others}`);
  if (glibc.way !== "as it is") page.entry("", WAYS[glibc.way], glibc.otherwise ? `else ${WAYS[glibc.otherwise]}` : "");
  const own = libraries ? counted(libraries.length, "library") : "not known beforehand";
  page.entry("own side", own, libraries?.length === 0 ? "but the shared set" : "");
  page.entry("shared set", counted(shared.length, "library"), "one copy for both sides");
  if (aliases.length > 0) page.entry("aliases", aliases.map(({ name, soname }) => `${name} is ${soname}`).join(", "));
}

const WAYS: Readonly<Record<GlibcWay, string>> = {
  "as it is": "as it is",
  "started over": "this command is started over by its ld.so",
  "mount namespace": "in a mount namespace, if the kernel permits it",
  "ld.so by name": "each process is started by its ld.so's name",
  "bubblewrap or refused": "in one that bubblewrap makes, or not at all",
};

const LABELS: Readonly<Record<IsolatedLibrary["when"], string>> = {
  start: "at the start",
  use: "when opened",
  unknown: "when needed",
};

function capsulePart(
  page: Page,
  { tree, libraryDirectories, shareDirectories, isolated, left, hooks, environment, dependencies }: PlannedCapsule,
  { isVerbose }: View,
): void {
  const inTree = (path: string) => (tree !== "/" && path.startsWith(`${tree}/`) ? path.slice(tree.length) : path);
  page.title(`from ${tree}`);
  for (const when of ["start", "use", "unknown"] as const) {
    const group = isolated.filter((library) => library.when === when);
    const rows = group.map((one) => [one.soname, inTree(one.path), askedText(one)]);
    if (when === "start" || isVerbose) page.block(LABELS[when], rows);
    else page.list(LABELS[when], namesOf(group));
  }
  for (const leader of new Set(isolated.flatMap(({ follows }) => follows ?? [])))
    page.list(
      "together",
      namesOf(isolated.filter(({ follows }) => follows === leader)),
      `from the tree of ${leader}, with which they belong`,
    );
  for (const why of new Set(left.map((one) => one.why)))
    page.list("not isolated", namesOf(left.filter((one) => one.why === why)), why);
  const hookRows = hooks.map((hook) => [`${hook.soname}: ${hook.symbol}`, `${hook.file}: ${hook.function}`, "--hook"]);
  page.block("hooks", hookRows);
  if (libraryDirectories.length > 0) page.list("libraries in", libraryDirectories, "beside the default directories");
  if (shareDirectories.length > 0) page.list("data in", shareDirectories, "beside /usr/share");
  const variables = environment.map(({ name, value, isOverridden }) => {
    return [isVerbose ? `${name}=${value}` : name, isOverridden ? "you have set it, which wins" : ""];
  });
  if (isVerbose || environment.some(({ isOverridden }) => isOverridden)) page.block("variables", variables);
  else page.list("variables", variables.flat());
  const rows = dependencies.map((one) => [one.soname, inTree(one.path), reasonText(one)]);
  if (isVerbose) page.block("private", rows);
  else page.entry("private", counted(rows.length, "dependency"));
}

const namesOf = (libraries: readonly { readonly soname: string }[]): string[] => libraries.map(({ soname }) => soname);

const askedText = ({ profiles, source, treeSource, follows }: IsolatedLibrary): string =>
  [
    ...(follows === null ? [] : [`with ${follows}`]),
    ...(profiles.length > 0 ? [profiles.join(" ")] : follows === null ? [sourceText(source)] : []),
    ...(treeSource.kind === "default" || treeSource.name === "--host" ? [] : [`tree by ${sourceText(treeSource)}`]),
  ].join(", ");

const reasonText = ({ why, neededBy }: PlannedLibrary): string =>
  `${why.replace(/ of .*\//s, " of ")}${neededBy === null ? "" : `, for ${basename(neededBy)}`}`;

const sourceText = ({ name, line }: PlannedSource): string =>
  `${name ?? "default"}${line === null ? "" : `, line ${line}`}`;

function shownValue(value: string | readonly string[] | null): string {
  if (value === null) return "none";
  if (typeof value === "string") return value;
  return value.length > 0 ? value.join(" ") : "none";
}

const PLURALS: Readonly<Record<string, string>> = { library: "libraries", dependency: "dependencies" };

const counted = (count: number, what: string): string =>
  count === 0 ? `no ${PLURALS[what]}` : `${count} ${count === 1 ? what : PLURALS[what]}`;

/** The width of the label column. */
const INDENT = 16;

type Row = readonly string[];

/** Text in two columns: labels, and their content. */
class Page {
  #lines: string[] = [];

  constructor(
    readonly width: number,
    readonly paint: Paint,
  ) {}

  get text(): string {
    return `${this.#lines.join("\n")}\n`;
  }

  title(text: string, note = ""): void {
    if (this.#lines.length > 0) this.#lines.push("");
    this.#lines.push(`${this.paint("bold", text)}${note && `  ${this.paint("dim", note)}`}`);
  }

  entry(label: string, text: string, note = ""): void {
    this.list(label, text.split(" "), note);
  }

  /** Words, wrapped to the width. */
  list(label: string, words: readonly string[], note = ""): void {
    const said = note === "" ? [] : `(${note})`.split(" ");
    const plain = words.filter(Boolean);
    let rest = plain.length; // of the words, those that are not on a line yet
    const lines = inLines([...plain, ...said], this.width - INDENT).map((line) => {
      const [before, behind] = [line.slice(0, rest), line.slice(rest)];
      rest -= before.length;
      return [this.paint("plain", before.join(" ")), this.paint("dim", behind.join(" "))].filter(Boolean).join(" ");
    });
    this.#put(label, lines);
  }

  /** A table, the last column of which gives the reason. */
  block(label: string, rows: readonly Row[]): void {
    if (rows.length > 0) this.#put(label, this.#table(rows));
  }

  rows(rows: readonly Row[]): void {
    for (const line of this.#table(rows)) this.#lines.push(`  ${line}`);
  }

  warning(text: string): void {
    this.#lines.push(`  ${this.paint("yellow", text)}`);
  }

  #put(label: string, lines: readonly string[]): void {
    lines.forEach((line, i) => {
      this.#lines.push(`  ${this.paint("cyan", (i === 0 ? label : "").padEnd(INDENT - 2))}${line}`);
    });
  }

  #table(rows: readonly Row[]): string[] {
    const widths = widthsOf(rows);
    return rows.map((row) =>
      row
        .map((cell, i) => {
          const isLast = row.slice(i + 1).every((other) => other === "");
          const style = i === widths.length - 1 ? "dim" : "plain";
          return cell === "" ? "" : this.paint(style, isLast ? cell : cell.padEnd(widths[i] ?? 0));
        })
        .filter(Boolean)
        .join("  "),
    );
  }
}
