// The plan of a launch, made from files and settings alone: which libraries come from which host tree, with which
// dependencies, in which order. Making it changes nothing, and reports everything that is missing or damaged.

import { readdirSync, realpathSync } from "node:fs";
import { delimiter, join } from "node:path";
import { ElfError } from "../../lib/elf/error.ts";
import type { Library } from "../../lib/elf/library.ts";
import { LinkError } from "../../lib/link-error.ts";
import { type Closure, closureFrom } from "../../lib/tree/closure.ts";
import { GLIBC } from "../../lib/tree/glibc-names.ts";
import { inShares } from "../../lib/tree/layout.ts";
import type { Search } from "../../lib/tree/search.ts";
import { unless } from "../../lib/unless.ts";
import { EXIT, NotHostableError, ProgramError } from "../diagnostics/errors.ts";
import type { Trace } from "../diagnostics/trace.ts";
import { keepShaderCache, shaderCacheOf } from "../directories/shader-caches.ts";
import { AHEAD, type CacheVariable, LIBDIR, type Variable } from "../profiles/profiles.ts";
import { UNWINDER } from "../profiles/shared-set.ts";
import type { Mode, NamespaceChoice } from "../settings/choices.ts";
import { asSays } from "../settings/source.ts";
import type { TreeOptions } from "../settings/tree-options.ts";
import { refuseIsolatedAllocators, refuseOtherAllocator, refuseSanitizers } from "./allocators.ts";
import { canBeAudited } from "./glibc/auditing.ts";
import { type ChosenGlibc, checkNeeds, runsOn } from "./glibc/choice.ts";
import { coverOf, type OwnInterpreter, ownInterpreterOf, refuseUncovered, tellOwn } from "./glibc/own-interpreter.ts";
import { type Mounts, type ProcessGlibc, processGlibcOf } from "./glibc/process-glibc.ts";
import { newestUnwinder, tellUnwinder } from "./glibc/unwinder.ts";
import { hooksIn, refuseHooks } from "./hooks.ts";
import type { Hook, HostTree, OwnedTree } from "./host-tree.ts";
import { refuseLacked } from "./lacked.ts";
import { checkMembers } from "./members.ts";
import { needsIn, needsOf } from "./needs.ts";
import type { Ownership } from "./ownership.ts";
import { findUnlinkedRunner, locateProgram, type Program, readProgram } from "./program.ts";
import { lentStatically } from "./static-tls.ts";
import { type Chosen, chooseHosts, type Host, type OwnedHost, searchesOf, type Trees } from "./trees.ts";
import { refuseUnhostable } from "./unhostable.ts";
import { refuseMisled } from "./unlinked.ts";

export interface ExecOptions extends TreeOptions {
  readonly mode: Mode;
  readonly mountNamespace: NamespaceChoice;
  /** Functions that replace those of isolated libraries for the program. */
  readonly hooks: readonly Hook[];
  /** Where settings files were looked for. */
  readonly settingsFiles: readonly string[];
  readonly program: string;
  /** Without argv[0]. */
  readonly arguments: readonly string[];
}

/** What a plan for an in-process program adds. */
interface HostedTree extends HostTree {
  readonly atStart: readonly string[];
  readonly closure: Closure;
  /**
   * Libraries, by path, that are opened with static TLS: the program's side needs one of their thread-local variables
   * there.
   */
  readonly lentStatically: ReadonlyMap<string, string>;
}

export interface Plan {
  readonly program: Program;
  /** Its path as execve(2) would get it. */
  readonly executed: string;
  readonly arguments: readonly string[];
  readonly runtime: Search;
  /** What the program needs of the runtime, without the program itself. */
  readonly needs: Closure;
  readonly chosen: Chosen;
  readonly capsules: readonly HostedTree[];
  /** Other names by which the program or its libraries need isolated libraries, mapped to their sonames. */
  readonly aliases: ReadonlyMap<string, string>;
  /** The file of each shared set member that some capsule needs. */
  readonly shared: ReadonlyMap<string, string>;
  readonly glibc: ChosenGlibc;
}

/** For a process that runs on the chosen glibc. Throws ProgramError, UsageError, LinkError and ElfError. */
export function makePlan(options: ExecOptions, trees: Trees, trace: Trace): Plan {
  const { runtime, store, glibc } = trees;
  const executed = locateProgram(options.program);
  const program = readProgram(options.program, realpathSync(executed), store);
  trace.log("plan", () => `program: ${program.path}`);
  const chosen = chooseHosts(trees, trace);
  const { hosts, isIsolated } = chosen;
  const { needs, aliases, closure: own } = runtimeNeeds(program, runtime, isIsolated, trace);
  const side = [program.library, ...own.libraries];
  for (const host of hosts) refuseIsolatedAllocators(host);
  refuseOtherAllocator(program.path, side, () => isolatedOf(hosts));
  if (hosts.length > 1) addNeedsOfHosts(needs, hosts);
  refuseOwnNewer(program, side, trees);
  checkNeeds(side, glibc);

  const unwinder = newestUnwinder(searchesOf(trees), glibc);
  tellUnwinder(unwinder?.path, trace);
  const shared = new Map<string, string>();
  const capsules = hosts.map((host): HostedTree => {
    const { search, ownership, choices } = host;
    const isolated = [...choices.keys()].filter((soname) => !chosen.left.has(soname));
    const atStart = isolated.filter((soname) => needs.has(soname));
    const closure = closureFrom(needsIn(host, atStart));
    checkMembers(closure, store);
    for (const { library, why, requester } of closure.members)
      trace.log("search", () => `${library.path}: ${why}${requester ? `, for ${requester.library.path}` : ""}`);
    checkNeeds(closure.libraries, glibc);
    chooseShared(closure, ownership, glibc, unwinder?.path, shared);
    const later = isolated.filter((soname) => !needs.has(soname)).join(" ");
    trace.log("plan", () => `host tree ${search.tree.name}: at the start ${atStart.join(" ") || "nothing"}`);
    trace.log("plan", () => `host tree ${search.tree.name}: when asked for ${later || "nothing"}`);
    const promised = isolated.filter((soname) => choices.get(soname) || needs.has(soname));
    const shown = closure.libraries.filter(({ soname }) => atStart.includes(soname));
    return {
      ...takenFrom(host, isolated, atStart, options, glibc),
      promised,
      atStart,
      closure,
      lentStatically: lentStatically(side, shown),
    };
  });
  const opened = capsules.flatMap(({ closure }) => closure.libraries);
  refuseUnhostable(program, own.libraries, opened, glibc);
  // The program itself works in-process, but a child in another PID namespace could not reach the server.
  if (options.mode === "auto" && program.library.entersNamespaces)
    throw new NotHostableError(
      program.path,
      "it makes namespaces, or enters them, and what it starts there asks as well",
    );
  for (const capsule of capsules) refuseLacked(program.path, side, capsule, capsule.closure, shared.values());
  refuseUseless(options, hosts, capsules);
  const { arguments: list } = options;
  return { program, executed, arguments: list, runtime, needs: own, chosen, capsules, aliases, shared, glibc };
}

/** What both modes' plans say of a host tree. `shown` are the isolated libraries that will probably be used. */
function takenFrom(
  { search, ownership }: OwnedTree,
  isolated: readonly string[],
  shown: readonly string[],
  options: ExecOptions,
  glibc: ChosenGlibc,
): Omit<HostTree, "promised"> {
  const environment = environmentOf(options.variables, search);
  const hooks = hooksIn(options.hooks, { search, ownership }, isolated, glibc);
  return { search, ownership, isolated, environment, hooks, ahead: openedAhead(shown) };
}

/** The plan of an attached program, whose needs are not known beforehand. */
export interface AttachedPlan {
  /** The program's path as execve(2) will get it. */
  readonly executed: string;
  readonly runtime: Search;
  readonly capsules: readonly AttachedTree[];
  readonly chosen: Chosen;
  readonly processGlibc: ProcessGlibc;
  /** ld.so asks an auditor for isolated libraries before it searches for them. */
  readonly isAudited: boolean;
  /** Set for a program with its own ld.so; `cover` is what replaces the files of its glibc. */
  readonly own: (OwnInterpreter & { readonly cover: Mounts }) | undefined;
}

/** Only libraries that the tree has are isolated. */
interface AttachedTree extends HostTree {
  /** Those that the user has named. */
  readonly named: ReadonlySet<string>;
  /**
   * The isolated libraries with their dependencies. One whose dependencies are missing is left out: opening it reports
   * that.
   */
  readonly libraries: readonly Library[];
}

/** Throws as makePlan does, except for what the program needs on its own side: ld.so reports that. */
export function makeAttachedPlan(options: ExecOptions, executed: string, trees: Trees, trace: Trace): AttachedPlan {
  trace.log("plan", () => `program: ${executed}`);
  const { runtime, glibc } = trees;
  const chosen = chooseHosts(trees, trace);
  const { hosts, isIsolated } = chosen;
  const capsules = hosts.map((host): AttachedTree => {
    const isolated = [...host.choices.keys()].filter(isIsolated);
    trace.log("plan", () => `host tree ${host.search.tree.name}: ${isolated.join(" ") || "nothing"}`);
    refuseIsolatedAllocators(host);
    const libraries = [...new Set(isolated.flatMap((soname) => neededBy(soname, host)))];
    refuseSanitizers(libraries);
    const named = new Set(isolated.filter((soname) => host.choices.get(soname)));
    return { ...takenFrom(host, isolated, isolated, options, glibc), promised: isolated, named, libraries };
  });
  refuseUseless(options, hosts, capsules);
  if (hosts.length > 1) addNeedsOfHosts(new Set(capsules.flatMap(({ isolated }) => isolated)), hosts);
  for (const { libraries } of capsules) checkNeeds(libraries, glibc);
  const processGlibc = processGlibcOf(searchesOf(trees), glibc);
  tellUnwinder(processGlibc.shared.get(UNWINDER), trace);
  const path = realpathSync(executed);
  const own = ownInterpreterOf(path, trees.machine);
  const cover: Mounts = own ? coverOf(own, glibc, processGlibc, trees.machine) : new Map();
  if (own) trace.log("plan", () => tellOwn(own, cover, glibc));
  const isAudited = canBeAudited(glibc);
  const isolated = capsules.flatMap(({ libraries }) => libraries);
  const why = "--mount-namespace never lets no other take its place";
  if (own && (cover.size > 0 || processGlibc.starter) && options.mountNamespace === "never")
    refuseUncovered(own, { processGlibc, isAudited }, isolated, glibc.version, why);
  const unlinked = findUnlinkedRunner(path);
  const shown = [...capsules.flatMap(({ isolated }) => isolated), ...processGlibc.shared.keys()];
  if (unlinked) refuseMisled(unlinked, new Set(shown.filter((soname) => !GLIBC.includes(soname))));
  trace.log("plan", () => `isolated libraries are found ${isAudited ? BY_AUDITOR : BY_PATH}`);
  return { executed, runtime, capsules, chosen, processGlibc, isAudited, own: own && { ...own, cover } };
}

/** Throws NotHostableError for a program that needs a newer glibc than the chosen one, and brings its own. */
function refuseOwnNewer({ path }: Program, side: readonly Library[], { glibc, machine }: Trees): void {
  const needing = side.find((one) => !runsOn(one, glibc.version));
  const own = needing && ownInterpreterOf(path, machine);
  if (own)
    throw new NotHostableError(
      path,
      `"${needing.path}" needs glibc ${needing.glibc}, which is newer than the one that was chosen, and the program has an ld.so of its own`,
    );
}

const BY_AUDITOR = "by an auditor (LD_AUDIT), whatever LD_LIBRARY_PATH and DT_RPATH say";
const BY_PATH = "by LD_LIBRARY_PATH alone, as glibc before 2.35 calls through ld.so where it is audited";

function neededBy(soname: string, host: OwnedTree): readonly Library[] {
  return unless([LinkError, ElfError], () => closureFrom(needsIn(host, [soname])).libraries) ?? [];
}

/** Throws LinkError for a host tree or a hook that is of no use, and UsageError for two hooks of one function. */
function refuseUseless(
  { host: { value: host, source }, hooks }: ExecOptions,
  hosts: readonly Host[],
  capsules: readonly HostTree[],
): void {
  const isUseless = ({ search, isolated }: HostTree) => !isolated.some((soname) => search.find(soname, undefined));
  // A variable may be meant for other programs.
  const isMeant = source.kind === "flag" || source.kind === "file";
  if (isMeant && capsules.every(isUseless))
    throw new LinkError(
      `Cannot use the host tree "${host}"${asSays(source)}: it has none of ${hosts.flatMap(({ choices }) => [...choices.keys()]).join(", ")}`,
      { object: host },
    );
  refuseHooks(hooks, new Set(capsules.flatMap((capsule) => capsule.hooks)));
}

/** The files of all libraries that may be isolated. */
function* isolatedOf(hosts: readonly Host[]): Generator<Library> {
  for (const { search, choices } of hosts)
    for (const soname of choices.keys()) {
      const found = search.find(soname, undefined);
      if (found) yield found.library;
    }
}

/**
 * What isolated libraries will probably open when they are used: sonames, and paths in the tree that may begin with
 * LIBDIR.
 */
export const openedAhead = (sonames: readonly string[]): string[] => [
  ...new Set(sonames.flatMap((soname) => AHEAD[soname] ?? [])),
];

/**
 * The runtime libraries that the program needs, and the isolated libraries that it or these need. Throws ProgramError
 * for a missing one.
 */
function runtimeNeeds(
  program: Program,
  runtime: Search,
  isIsolated: (soname: string) => boolean,
  trace: Trace,
): { needs: Set<string>; aliases: Map<string, string>; closure: Closure } {
  try {
    const { closure, isolated: needs } = needsOf(program.library, runtime, isIsolated);
    for (const { library, why } of closure.members)
      trace.log("search", () => `${library.path}: ${why}, for the program`);
    return { needs, aliases: new Map([...closure.aliases].filter(([, soname]) => isIsolated(soname))), closure };
  } catch (error) {
    if (!(error instanceof LinkError)) throw error;
    throw new ProgramError(`Cannot run "${program.path}": ${error.message}`, EXIT.notFound, { cause: error });
  }
}

/**
 * A library of one host tree may need one that comes from another: that one is opened at the start, too. Throws
 * LinkError for a cycle.
 */
function addNeedsOfHosts(needs: Set<string>, hosts: readonly OwnedHost[]): void {
  const visit = (soname: string, users: readonly string[]): void => {
    if (users.includes(soname))
      throw new LinkError(
        `Cannot take "${soname}" from a host tree of its own: it needs "${users.at(-1)}", from another, which needs it`,
        { object: soname },
      );
    needs.add(soname);
    const host = hosts.find(({ choices }) => choices.has(soname));
    if (!host) return;
    for (const name of closureFrom(needsIn(host, [soname])).elsewhere.keys())
      if (host.ownership.others.has(name)) visit(name, [...users, soname]);
  };
  for (const soname of [...needs]) visit(soname, []);
}

/**
 * Finds the one copy of each member of the shared set: the newest unwinder, the chosen glibc's files, else the
 * runtime's.
 */
function chooseShared(
  closure: Closure,
  { runtime, others }: Ownership,
  { glibc }: ChosenGlibc,
  unwinder: string | undefined,
  shared: Map<string, string>,
): void {
  if (unwinder !== undefined) shared.set(UNWINDER, unwinder);
  for (const [soname, needers] of closure.elsewhere) {
    if (shared.has(soname) || others.has(soname)) continue;
    const path = glibc?.find(soname) ?? runtime.find(soname, undefined)?.path;
    if (path === undefined)
      throw new LinkError(
        `Cannot find "${soname}", which "${needers[0]?.path}" needs, in the runtime: the whole process has one copy of it`,
        { object: soname },
      );
    shared.set(soname, path);
  }
}

export function environmentOf(variables: readonly Variable[], search: Search): [string, string][] {
  const found = variables.map((variable) => [variable.name, settingOf(variable, search)] as const);
  return [...new Map(found.filter((pair): pair is [string, string] => pair[1] !== undefined))];
}

function settingOf(variable: Variable, search: Search): string | undefined {
  if (variable.kind === "value") return variable.value;
  if (variable.unless?.some((name) => process.env[name])) return undefined;
  if (variable.kind === "cache") return cacheFor(variable, search);
  const { kind, paths } = variable;
  const real = pathsIn(search, paths);
  if (kind === "first") return real[0];
  const list = kind === "directories" ? real : real.flatMap(manifestsIn);
  return list.length > 0 ? list.join(delimiter) : undefined;
}

/** The real paths of those that the tree has, without duplicates. */
const pathsIn = ({ tree, places, layout }: Search, paths: readonly string[]): string[] => {
  const expanded = paths.flatMap((path) =>
    path.startsWith(LIBDIR) ? places.map((dir) => path.replace(LIBDIR, dir)) : inShares(path, layout),
  );
  return [...new Set(expanded.map((path) => tree.resolve(path)).filter((path) => path !== undefined))];
};

function cacheFor({ users }: CacheVariable, search: Search): string | undefined {
  const cache = shaderCacheOf(search.tree.root);
  if (cache === undefined) return undefined;
  const isThere = (user: string) =>
    user.includes("/") ? pathsIn(search, [user]).length > 0 : search.find(user, undefined) !== undefined;
  return users.some(isThere) ? cache : undefined;
}

/** Makes the cache directories that host libraries are told to use. */
export function keepCaches(capsules: readonly HostTree[]): void {
  for (const { search, environment } of capsules) {
    const { root } = search.tree;
    const cache = shaderCacheOf(root);
    if (cache !== undefined && environment.some(([, value]) => value === cache)) keepShaderCache(cache, root);
  }
}

const manifestsIn = (directory: string): string[] =>
  readdirSync(directory)
    .filter((name) => name.endsWith(".json"))
    .sort()
    .map((name) => join(directory, name));
