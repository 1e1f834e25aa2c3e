// Makes a report from command-line options, choosing as a run would, from files alone.

import { ElfError } from "../../lib/elf/error.ts";
import { System } from "../../lib/process/system.ts";
import { LibraryStore } from "../../lib/tree/library-store.ts";
import { EXIT, ProgramError } from "../diagnostics/errors.ts";
import { ownScreen, Progress } from "../diagnostics/progress.ts";
import { Trace } from "../diagnostics/trace.ts";
import { storeFile } from "../directories/own-cache.ts";
import { machineGlibc } from "../plan/glibc/choice.ts";
import { chooseHosts, chooseTrees } from "../plan/trees.ts";
import type { Settings } from "../settings/settings.ts";
import { withVariables } from "../settings/variables.ts";
import { type Asked, findAsked, pathOf } from "./asked.ts";
import type { Report, Side } from "./item.ts";
import { sidesOf } from "./sides.ts";
import { missedGlibc } from "./words.ts";

/** The settings for the file that the report is about. Undefined for a soname. */
type Choose = (file: string | undefined) => Settings;

/**
 * `name` is a program, a library's file or an existing soname. A native report has no capsules. Throws UsageError,
 * ProgramError, LinkError and ElfError.
 */
export function reportOn(name: string, choose: Choose, isNative = false): Report {
  const report = makeReport((store) => findAsked(name, store), choose, isNative);
  const { asked, program } = report;
  if (asked.kind !== "soname") return report;
  const fault = program.roots.find(({ link }) => link.name === asked.soname)?.link.fault;
  if (!fault) return report;
  if (fault instanceof ElfError) throw fault;
  const tried = fault.details.tried ?? [];
  const message = `Cannot find "${asked.soname}": no directory in PATH has it, and as a library it is not in "${program.tree}": ${tried.join("; ")}`;
  throw new ProgramError(message, EXIT.notFound, { cause: fault });
}

/** Throws like reportOn, but not for a soname that does not exist. */
export function makeReport(find: (store: LibraryStore) => Asked, choose: Choose, isNative = false): Report {
  const system = new System();
  using progress = new Progress(() => ownScreen(system, process.env));
  const store = new LibraryStore(storeFile(), progress.reading);
  const asked = find(store);
  // choose() may print warnings about settings.
  progress.erase();
  const settings = choose(asked.kind === "soname" ? undefined : (asked.scripts[0] ?? pathOf(asked)));
  const trace = new Trace([]);
  // For a script, its interpreter runs.
  const program = "library" in asked ? asked.library.path : undefined;
  const options = isNative ? settings.native : settings.trees;
  return withVariables(settings, () => {
    const trees = chooseTrees(options, machineGlibc, store, system, trace, program);
    return sidesOf(asked, options, trees, chooseHosts(trees, trace));
  });
}

/**
 * The exit status of a report: 127 if the program lacks a library; 125 if a capsule lacks one at the start, or something needs a newer glibc; else
 * 0.
 */
export function exitCodeOf(report: Report): number {
  const { program, capsules } = report;
  if (lacks(program)) return EXIT.notFound;
  const atStart = [program, ...capsules].flatMap(({ items }) => items).filter(({ when }) => when === "start");
  if (atStart.some((item) => missedGlibc(item, report) !== undefined)) return EXIT.failure;
  const isMissed = ({ roots }: Side) => roots.some(({ link, when }) => when === "start" && link.fault);
  return capsules.some((side) => lacks(side) || isMissed(side)) ? EXIT.failure : 0;
}

const lacks = ({ items }: Side): boolean =>
  items.some(({ when, needs }) => when === "start" && needs.some(({ fault }) => fault));
