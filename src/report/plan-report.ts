// What `capsule exec` would do, computed by the same functions but without side effects: no process is started and
// nothing is written, not even the cache of library data.

import { realpathSync } from "node:fs";
import { ElfError } from "../../lib/elf/error.ts";
import type { Library } from "../../lib/elf/library.ts";
import { LinkError } from "../../lib/link-error.ts";
import { Libc } from "../../lib/process/libc.ts";
import { needProc } from "../../lib/process/pid-namespace.ts";
import { System } from "../../lib/process/system.ts";
import type { Closure } from "../../lib/tree/closure.ts";
import type { Dependencies, Node } from "../../lib/tree/dependencies.ts";
import { LibraryStore } from "../../lib/tree/library-store.ts";
import { Trace } from "../diagnostics/trace.ts";
import { storeFile } from "../directories/own-cache.ts";
import { copiesInFront } from "../plan/copies-in-front.ts";
import { machineGlibc } from "../plan/glibc/choice.ts";
import type { Hook } from "../plan/host-tree.ts";
import { inMode } from "../plan/mode.ts";
import { needsIn, needsOf } from "../plan/needs.ts";
import { lacksOf, tellLack } from "../plan/older-hosts.ts";
import { type AttachedPlan, makeAttachedPlan, makePlan, type Plan } from "../plan/plan.ts";
import { checkAttachable, interpreterOf, locateProgram } from "../plan/program.ts";
import { emptiedEnvironments } from "../plan/scripts.ts";
import { chooseTrees } from "../plan/trees.ts";
import { ownGlibc } from "../reexec/chosen-glibc.ts";
import type { Settings } from "../settings/settings.ts";
import { asSays } from "../settings/source.ts";
import type { TreeOptions } from "../settings/tree-options.ts";
import { withVariables } from "../settings/variables.ts";
import { capsuleOf, type Found, libraryOf, sourceOf } from "./plan-capsule.ts";
import type { PlannedLibrary, PlannedSetting, PlanReport } from "./plan-data.ts";
import { plannedGlibc } from "./plan-glibc.ts";

/**
 * `program` is a path, or the name of a program in PATH. `reading` is called with each library before it is read.
 * Throws what exec would report: ProgramError, UsageError, LinkError and ElfError.
 */
export function planReport(
  program: string,
  list: readonly string[],
  settings: Settings,
  hooks: readonly Hook[] = [],
  reading?: (path: string) => void,
): PlanReport {
  needProc();
  return withVariables(settings, () => reportOn(program, list, settings, hooks, reading));
}

function reportOn(
  program: string,
  list: readonly string[],
  settings: Settings,
  hooks: readonly Hook[],
  reading: ((path: string) => void) | undefined,
): PlanReport {
  const executed = locateProgram(program);
  const path = realpathSync(executed);
  const [system, trace] = [new System(), new Trace([])];
  const store = new LibraryStore(storeFile(), reading);
  const [mode, mountNamespace] = [settings.mode.value, settings.mountNamespace.value];
  const options = {
    program,
    arguments: list,
    settingsFiles: settings.files,
    mode,
    mountNamespace,
    hooks,
    ...settings.trees,
  };

  const found = inMode(path, { mode, mountNamespace }, system, {
    inProcess(why) {
      const trees = chooseTrees(options, (machine) => ownGlibc(new Libc(), machine), store, system, trace, path);
      return { why, trees, ...ofHosted(makePlan(options, trees, trace)) };
    },
    attached(why) {
      checkAttachable(path, process.env.PATH ?? "", system);
      const trees = chooseTrees(options, machineGlibc, store, system, trace, path);
      return { why, trees, ...ofAttached(makeAttachedPlan(options, executed, trees, trace), path) };
    },
  });

  const { name, why, trees, plan, sides, warnings } = found;
  const interpreter = interpreterOf(path, store);
  const capsules = plan.chosen.hosts.flatMap((host, i) => {
    const side = sides[i];
    return side ? capsuleOf(host, plan.chosen, trees, side) : [];
  });
  return {
    format: 1,
    program: {
      name: program,
      path,
      executed,
      arguments: list,
      kind: interpreter === undefined ? "unreadable" : interpreter.isScript ? "script" : "elf",
      interpreter: interpreter?.words ?? [],
    },
    mode: { name, why: name === "in-process" && mode === "auto" ? "as nothing forbids it" : why },
    runtime: { tree: trees.runtime.tree.name, libraryPath: trees.runtime.libraryPath },
    glibc: plannedGlibc(name, trees, settings.glibc.value, mountNamespace, found.isCovered),
    capsules,
    shared: sharedOf(found),
    libraries: found.libraries,
    aliases: [...found.aliases].map(([alias, soname]) => ({ name: alias, soname })),
    settings: plannedSettings(settings, options),
    warnings: [
      ...settings.warnings,
      ...settings.idle.map(({ value, source }) => `${value}: nothing isolates it${asSays(source)}`),
      ...warnings,
      ...emptiedEnvironments(path, options.arguments),
      ...lacksOf(plan, path).map(tellLack),
    ],
  };
}

/** What is known in both modes. */
interface InMode {
  readonly name: PlanReport["mode"]["name"];
  readonly plan: Plan | AttachedPlan;
  /** Files of the program's own glibc are replaced. */
  readonly isCovered: boolean;
  /** The findings for each capsule, in order. */
  readonly sides: readonly Found[];
  readonly libraries: readonly PlannedLibrary[] | null;
  readonly aliases: ReadonlyMap<string, string>;
  /** The one copy of a member of the shared set. */
  sharedFile(soname: string): string | undefined;
  readonly warnings: readonly string[];
}

function ofHosted(plan: Plan): InMode {
  const { needs, chosen } = plan;
  const needers = needersOf(plan.program.library, needs);
  const warnings: string[] = [];
  const sides = plan.capsules.map((capsule): Found => {
    const { isolated, atStart, closure, environment, hooks } = capsule;
    // The plan does not include libraries that nothing needs at the start.
    const later = isolated.filter((soname) => chosen.isIsolated(soname) && !atStart.includes(soname));
    const dependencies = needsIn(capsule, later);
    warnings.push(...faultsIn(dependencies));
    const known = new Set(closure.members.map(({ library }) => library.path));
    const others = dependencies.nodes.filter(({ library }) => !known.has(library.path));
    const elsewhere = new Map([...elsewhereOf(others), ...closure.elsewhere]);
    return { atStart, members: [...closure.inLoadOrder, ...others], elsewhere, needers, environment, hooks };
  });
  return {
    ...{ name: "in-process", plan, isCovered: false, sides, warnings },
    libraries: needs.inLoadOrder.map(libraryOf),
    aliases: plan.aliases,
    sharedFile: (soname) =>
      plan.shared.get(soname) ?? plan.glibc.glibc?.find(soname) ?? plan.runtime.find(soname, undefined)?.path,
  };
}

function ofAttached(plan: AttachedPlan, path: string): InMode {
  const { runtime, chosen, processGlibc } = plan;
  const warnings = copiesInFront(plan, path);
  const own = ownSide(plan, path, warnings);
  const { needers = new Map() } = own ?? {};
  const sides = plan.capsules.map((capsule): Found => {
    const { search, isolated, named, environment, hooks } = capsule;
    const dependencies = needsIn(capsule, isolated);
    warnings.push(...faultsIn(dependencies));
    for (const soname of isolated) {
      const found = search.find(soname, undefined);
      try {
        if (found) search.store.check(found.path, "tables");
      } catch (error) {
        if (named.has(soname) || !(error instanceof ElfError)) throw error;
        warnings.push(`${error.message}: programs get the runtime's own ${soname}`);
      }
    }
    const atStart = own && isolated.filter((soname) => needers.has(soname));
    const { nodes } = dependencies;
    return { atStart, members: nodes, elsewhere: elsewhereOf(nodes), needers, environment, hooks };
  });
  return {
    ...{ name: "attached", plan, isCovered: (plan.own?.cover.size ?? 0) > 0, sides, warnings },
    libraries: own?.libraries ?? null,
    aliases: new Map([...(own?.aliases ?? [])].filter(([, soname]) => chosen.isIsolated(soname))),
    sharedFile: (soname) => processGlibc.shared.get(soname) ?? runtime.find(soname, undefined)?.path,
  };
}

/** What the program itself needs, as far as its file tells: ld.so searches for it, not this code. */
function ownSide({ runtime, chosen }: AttachedPlan, path: string, warnings: string[]) {
  try {
    const library = runtime.libraryAt(path);
    const { closure } = needsOf(library, runtime, chosen.isIsolated);
    const libraries = closure.inLoadOrder.map(libraryOf);
    return { libraries, aliases: closure.aliases, needers: needersOf(library, closure) };
  } catch (error) {
    // ld.so will report it.
    if (error instanceof LinkError) warnings.push(error.message);
    // A script, or a file that is executable but not readable.
    else if (!(error instanceof ElfError) && (error as NodeJS.ErrnoException).code === undefined) throw error;
    return undefined;
  }
}

/** The libraries of the program's side that need each soname of another, the program first. */
function needersOf(program: Library, { elsewhere }: Closure): Map<string, readonly Library[]> {
  const needers = new Map(elsewhere);
  for (const soname of program.needed) needers.set(soname, [program, ...(needers.get(soname) ?? [])]);
  return needers;
}

/** Faults of libraries that nothing needs yet. A program that opens one gets an error then. */
const faultsIn = ({ roots, nodes }: Dependencies): string[] =>
  [...roots, ...nodes.flatMap(({ needs }) => needs)].flatMap((need) => ("fault" in need ? [need.fault.message] : []));

function elsewhereOf(nodes: readonly Node[]): Map<string, Library[]> {
  const elsewhere = new Map<string, Library[]>();
  for (const { library, needs } of nodes)
    for (const need of needs)
      if ("elsewhere" in need) elsewhere.set(need.elsewhere, [...(elsewhere.get(need.elsewhere) ?? []), library]);
  return elsewhere;
}

/** Libraries from another host tree are not part of the shared set. */
function sharedOf({ plan, sides, sharedFile }: InMode): PlanReport["shared"] {
  const all = sides.flatMap(({ elsewhere }, i) =>
    [...elsewhere].filter(([soname]) => !plan.chosen.hosts[i]?.ownership.others.has(soname)),
  );
  return [...Map.groupBy(all, ([soname]) => soname)]
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .flatMap(([soname, needs]) => {
      const path = sharedFile(soname);
      const neededBy = needs.flatMap(([, libraries]) => libraries).map((library) => library.path);
      return path === undefined ? [] : { soname, path, neededBy: [...new Set(neededBy)] };
    });
}

/** The settings, each with its source. */
function plannedSettings(settings: Settings, { libraries, host }: TreeOptions): PlannedSetting[] {
  const all = [...settings.all].map(([name, { value, source }]) => {
    return { name: name as string, value: value ?? null, source: sourceOf(source) };
  });
  // Libraries with a host tree of their own.
  const single = libraries
    .filter((library) => library.host !== host && !library.follows)
    .map(({ soname, host: { value, source } }) => ({ name: `libraries.${soname}`, value, source: sourceOf(source) }));
  const variables = Array.from(settings.environment, ([name, { value, source }]) => {
    return { name: `environment.${name}`, value: value ?? null, source: sourceOf(source) };
  });
  return [...all, ...single, ...variables];
}
