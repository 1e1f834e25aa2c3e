// `capsule doctor`: finds what would hinder a run, without running anything, and says what to do about it.

import { writeFileSync } from "node:fs";
import { Command } from "commander";
import { Libc } from "../../lib/process/libc.ts";
import { System } from "../../lib/process/system.ts";
import { unless } from "../../lib/unless.ts";
import metadata from "../../package.json" with { type: "json" };
import { ProgramError, UsageError } from "../diagnostics/errors.ts";
import { printJson, warn } from "../diagnostics/output.ts";
import { ownScreen, Progress } from "../diagnostics/progress.ts";
import { painter, show, widthOf } from "../diagnostics/terminal.ts";
import { bugReportText } from "../doctor/bug-report.ts";
import { examine } from "../doctor/examine.ts";
import { type Group, hinders } from "../doctor/finding.ts";
import { MachineFiles } from "../doctor/machine-files.ts";
import { dataOf, reportOf } from "../doctor/report.ts";
import { planReport } from "../report/plan-report.ts";
import { planText } from "../report/plan-text.ts";
import type { Flags } from "../settings/layer.ts";
import type { Settings } from "../settings/settings.ts";
import { addTreeOptions } from "./add-options.ts";
import { runForReport } from "./report-run.ts";
import { settingsOf } from "./tree-options.ts";

/** The minimum width of the output, in columns. */
const NARROWEST = 40;

const HELP = `
Exit status: 0 where nothing hinders (warnings may be there), 1 where something does, 2 for a wrong
command line.`;

/** `report` reports an error and returns the exit code. */
export function doctorCommand(report: (error: unknown) => number): Command {
  const command = new Command("doctor")
    .summary("say what would hinder, and what to do about it")
    .description(
      "Look at the machine, the host tree, its drivers and the display for what would hinder a run, and with PROGRAM at that, too. Nothing is run or changed, unless --report is to trace a run.",
    )
    .argument("[program]", "a path, or a name that PATH has")
    .argument("[words...]", "with --report: the program's arguments, behind --");
  return addTreeOptions(command)
    .option("-v, --verbose", "also what is fine")
    .option("--report <file>", "write all that a bug report needs to a file, the trace of a run of PROGRAM included")
    .option("--json", "as JSON: an object of hinders and findings, each of group, check, level, text, advice")
    .addHelpText("after", HELP)
    .action(async (program: string | undefined, words: readonly string[], options: DoctorFlags) => {
      try {
        if (words.length > 0 && options.report === undefined)
          throw new UsageError("Cannot use a program's arguments: only --report runs it");
        const groups = examined(program, options);
        const view = { isVerbose: options.verbose ?? false, width: Math.max(NARROWEST, widthOf()) };
        if (options.json) printJson(dataOf(groups));
        else show(reportOf(groups, view, painter()));
        process.exitCode = hinders(groups) ? 1 : 0;
        if (options.report !== undefined) await writeReport(options.report, program, words, options, groups, command);
      } catch (error) {
        process.exit(report(error));
      }
    });
}

interface DoctorFlags extends Flags {
  readonly verbose?: boolean;
  readonly json?: boolean;
  /** Undefined for none. */
  readonly report?: string;
}

function examined(program: string | undefined, options: Flags): Group[] {
  const paths = [...pathsIn(options), ...pathsOf(process.env), ...(program?.includes("/") ? [program] : [])];
  const system = new System();
  using progress = new Progress(() => ownScreen(system, process.env));
  const { reading } = progress;
  return examine(
    { settings: () => settingsFor(options, program), paths, program, reading },
    { libc: new Libc(), system, files: new MachineFiles() },
  );
}

/** Throws what writing the file throws. */
async function writeReport(
  file: string,
  program: string | undefined,
  words: readonly string[],
  flags: Flags,
  groups: readonly Group[],
  command: Command,
): Promise<void> {
  // Before the program runs: a file that cannot be written should not cost a run.
  writeFileSync(file, "", { mode: 0o600 });
  const line = program === undefined ? [] : [...chosenBy(command), "--", program, ...words];
  const plain = painter(false);
  const plan = () => {
    const settings = settingsOf(flags, program, () => {});
    return planText(planReport(program ?? "", words, settings), { isVerbose: true, width: 120 }, plain);
  };
  const text = bugReportText({
    versions: [
      ["capsule", metadata.version],
      ["Bun", Bun.version],
      ["Linux", new MachineFiles().text("/proc/sys/kernel/osrelease")?.trim() ?? "unknown"],
      ["system", nameOfSystem()],
      ["glibc", new Libc().version],
    ],
    command: ["capsule", "exec", ...line],
    environment: process.env,
    findings: reportOf(groups, { isVerbose: true, width: 120 }, plain),
    plan: program === undefined ? undefined : unlessKnown(plan),
    run: program === undefined ? undefined : await runForReport(line),
  });
  writeFileSync(file, text);
  warn(`the report is in ${file}: read it before you send it`);
}

/** What it returns, or the text of an error that a run would report, too. */
function unlessKnown(make: () => string): string {
  try {
    return make();
  } catch (error) {
    return `${error}`;
  }
}

/** /etc/os-release's. */
const nameOfSystem = (): string =>
  /^PRETTY_NAME="?(.*?)"?$/m.exec(new MachineFiles().text("/etc/os-release") ?? "")?.[1] ?? "unknown";

/** The options that exec has, too, as they were given. */
function chosenBy(command: Command): string[] {
  const own = ["verbose", "json", "report"];
  return command.options.flatMap((option) => {
    const name = option.attributeName();
    const value: unknown = command.getOptionValue(name);
    if (own.includes(name) || command.getOptionValueSource(name) !== "cli") return [];
    if (option.negate) return value === false ? [`${option.long}`] : [];
    return value === false ? [] : [value].flat().map((text) => `${option.long}=${text}`);
  });
}

/** Directories that options name. */
function pathsIn({ host, runtime, glibc, settings, isolate = [] }: Flags): string[] {
  const named = [host, runtime, glibc, settings || undefined, ...isolate.map((text) => text.split("=")[1])];
  return named.filter((path) => path !== undefined).filter((path) => path.includes("/"));
}

/** Directories that the environment names, and those where containers mount the host. */
function pathsOf(environment: Readonly<Record<string, string | undefined>>): string[] {
  const named = Object.entries(environment).map(([name, value = ""]) => (name.startsWith("CAPSULE_") ? value : ""));
  const searched = (environment.LD_LIBRARY_PATH ?? "").split(/[:;]/);
  return ["/run/host", "/host", ...[...named, ...searched].filter((path) => path.includes("/"))];
}

/** A missing program is a finding, and then no settings file beside it applies. */
const settingsFor = (options: Flags, program: string | undefined): Settings =>
  unless([ProgramError], () => settingsOf(options, program)) ?? settingsOf(options);
