// Everything that will be done, found out from files and settings alone: which
// libraries come from which host tree, with what they need, in which order. When
// a plan has been made, nothing has been done, and what is missing or unsound has
// been said.

import { existsSync, readdirSync, realpathSync } from "node:fs";
import { delimiter, join } from "node:path";
import { ElfError } from "../lib/elf/error.ts";
import type { Library } from "../lib/elf/library.ts";
import { LinkError } from "../lib/loader/error.ts";
import { type Closure, closureOf } from "../lib/tree/closure.ts";
import type { LibraryStore } from "../lib/tree/library-store.ts";
import { mustFind, Search } from "../lib/tree/search.ts";
import { Tree } from "../lib/tree/tree.ts";
import { EXIT, NotHostableError, ProgramError, UsageError } from "./errors.ts";
import { compareVersions, newestOf } from "../lib/tree/glibc-version.ts";
import type { CapsuleSource } from "./launch.ts";
import { needsOf } from "./needs.ts";
import { Ownership } from "./ownership.ts";
import { LIBDIR, PROFILES, type Profile, type Variable } from "./profiles/profiles.ts";
import { locateProgram, type Program, readProgram } from "./program.ts";
import { isShared, UNWINDER } from "./shared-set.ts";
import { lentStatically } from "./tls-wants.ts";
import type { Trace } from "./trace.ts";
import { newerUnwinder, newestUnwinder } from "./unwinder.ts";

export interface ExecOptions {
  readonly program: string;
  /** Without argv[0]. */
  readonly arguments: readonly string[];
  readonly host?: string | undefined;
  /** Each a soname, or SONAME=DIR for another host tree. */
  readonly isolate: readonly string[];
  readonly profiles: readonly string[];
}

/** One host tree and what is taken from it. */
export interface CapsulePlan extends CapsuleSource {
  /** All that the program may see of it; of those that it does not need at the start the tree may lack some. */
  readonly isolated: readonly string[];
  readonly atStart: readonly string[];
  readonly closure: Closure;
  /** Libraries, by path, of which the program's side wants a thread-local variable in static TLS: they are opened so. */
  readonly lentStatically: ReadonlyMap<string, string>;
  /** What its libraries will probably open. */
  readonly ahead: readonly string[];
}

export interface Plan {
  readonly program: Program;
  /** Its path as execve(2) would be given it. */
  readonly executed: string;
  readonly arguments: readonly string[];
  readonly runtime: Search;
  /** What the program needs of the runtime, itself not among them. */
  readonly runtimeLibraries: readonly Library[];
  readonly capsules: readonly CapsulePlan[];
  /** Other names under which the program or its libraries need isolated libraries, with their sonames. */
  readonly aliases: ReadonlyMap<string, string>;
  /** The file of each member of the shared set that some capsule needs. */
  readonly shared: ReadonlyMap<string, string>;
}

/** Throws ProgramError, UsageError, LinkError and ElfError. `glibc` is the version that this process runs on. */
export function makePlan(options: ExecOptions, glibc: string, store: LibraryStore, trace: Trace): Plan {
  const executed = locateProgram(options.program);
  const program = readProgram(options.program, realpathSync(executed), store);
  trace.tell("plan", () => `program: ${program.path}`);
  const chosen = chooseHosts(options, glibc, store, trace);
  const { runtime, hosts, isIsolated } = chosen;
  const { needs, aliases, libraries: runtimeLibraries } = runtimeNeeds(program, runtime, isIsolated, trace);
  refuseOtherMalloc(program, runtimeLibraries);
  if (hosts.length > 1) addNeedsOfHosts(needs, hosts);

  const shared = new Map<string, string>();
  const capsules = hosts.map(({ search, choices, ownership }): CapsulePlan => {
    const isolated = [...choices.keys()].filter((soname) => !chosen.isKnownToLack(soname));
    const atStart = isolated.filter((soname) => needs.has(soname));
    const closure = closureOf(search, atStart, (soname) => ownership.isShared(soname));
    for (const { library, why, requester } of closure.members) {
      store.check(library.path, "whole");
      trace.tell("search", () => `${library.path}: ${why}${requester ? `, for ${requester.library.path}` : ""}`);
    }
    chooseShared(closure, ownership, shared, trace);
    const later = isolated.filter((soname) => !needs.has(soname)).join(" ");
    trace.tell("plan", () => `host tree ${search.tree.name}: at the start ${atStart.join(" ") || "nothing"}`);
    trace.tell("plan", () => `host tree ${search.tree.name}: when asked for ${later || "nothing"}`);
    const environment = environmentOf(options.profiles, search);
    const ahead = openedAhead(atStart);
    const shown = closure.members.map(({ library }) => library).filter(({ soname }) => atStart.includes(soname));
    const lent = lentStatically([program.library, ...runtimeLibraries], shown);
    const plan = { search, ownership, isolated, atStart, closure, lentStatically: lent };
    return { ...plan, environment, ahead };
  });
  refuseUseless(options, hosts, capsules);
  return { program, executed, arguments: options.arguments, runtime, runtimeLibraries, capsules, aliases, shared };
}

/** What a program in a process of its own is given: nobody knows what it will need. */
export interface AttachedPlan {
  /** The program's path as execve(2) will be given it. */
  readonly executed: string;
  readonly runtime: Search;
  readonly capsules: readonly AttachedCapsule[];
  /** Of libgcc_s.so.1: a host tree's copy, where that is newer than the runtime's. */
  readonly unwinder: string | undefined;
}

export interface AttachedCapsule {
  readonly search: Search;
  readonly ownership: Ownership;
  /** The host tree has all of them. */
  readonly isolated: readonly string[];
  /** Those that the user has named. */
  readonly named: ReadonlySet<string>;
  readonly environment: readonly (readonly [name: string, value: string])[];
  readonly ahead: readonly string[];
  /** Those that the tree has, with what they need, as far as it is there: who needs what is not will tell. */
  readonly libraries: readonly Library[];
}

/** Throws as makePlan does, but for what the program needs on its own side: ld.so will tell. */
export function makeAttachedPlan(
  options: ExecOptions,
  executed: string,
  store: LibraryStore,
  trace: Trace,
): AttachedPlan {
  trace.tell("plan", () => `program: ${executed}`);
  const { runtime, hosts, isIsolated } = chooseHosts(options, undefined, store, trace);
  const capsules = hosts.map(({ search, choices, ownership }): AttachedCapsule => {
    const isolated = [...choices.keys()].filter(isIsolated);
    trace.tell("plan", () => `host tree ${search.tree.name}: ${isolated.join(" ") || "nothing"}`);
    const environment = environmentOf(options.profiles, search);
    const libraries = isolated.flatMap((soname) => neededBy(soname, ownership));
    return {
      search,
      ownership,
      isolated,
      named: new Set(isolated.filter((soname) => choices.get(soname))),
      environment,
      ahead: openedAhead(isolated),
      libraries: [...new Set(libraries)],
    };
  });
  refuseUseless(options, hosts, capsules);
  if (hosts.length > 1) addNeedsOfHosts(new Set(capsules.flatMap(({ isolated }) => isolated)), hosts);
  const unwinder = newestUnwinder(
    hosts.map(({ ownership }) => ownership),
    trace,
  );
  return { executed, runtime, capsules, unwinder };
}

function neededBy(soname: string, ownership: Ownership): Library[] {
  try {
    const { members } = closureOf(ownership.host, [soname], (name) => ownership.isShared(name));
    return members.map(({ library }) => library);
  } catch (error) {
    if (error instanceof LinkError || error instanceof ElfError) return [];
    throw error;
  }
}

interface Chosen {
  readonly runtime: Search;
  readonly hosts: readonly OwnedHost[];
  /** Is it taken from a host tree that has it? */
  isIsolated(soname: string): boolean;
  /** Has somebody asked for it, and the tree does not have it? */
  isKnownToLack(soname: string): boolean;
}

/**
 * Which libraries come from which host tree, whoever needs them. `glibc` is the version that the program will run on; without one, the
 * runtime's own. Throws UsageError and LinkError.
 */
function chooseHosts(options: ExecOptions, glibc: string | undefined, store: LibraryStore, trace: Trace): Chosen {
  const runtime = new Search(new Tree("/"), (process.env.LD_LIBRARY_PATH ?? "").split(/[:;]/).filter(Boolean), store);
  const hosts = chooseLibraries(options, store, trace);
  for (const { search } of hosts) checkGlibc(search, glibc ?? versionOf(runtime));

  // Whether a tree has a library that nobody needs at the start is found out when somebody asks for it.
  const there = new Map<string, boolean>();
  const isIsolated = (soname: string) => {
    const host = hosts.find(({ choices }) => choices.has(soname));
    if (!host) return false;
    const known = there.get(soname) ?? isThere(host, soname, runtime, trace);
    there.set(soname, known);
    return known;
  };
  for (const { choices } of hosts) for (const [soname, isExplicit] of choices) if (isExplicit) isIsolated(soname);
  const owned = hosts.map((host) => {
    const others = hosts.flatMap(({ choices }) => (choices === host.choices ? [] : [...choices.keys()]));
    const ownership = new Ownership(host.search, runtime, host.newest, new Set(others.filter(isIsolated)));
    return { ...host, ownership };
  });
  return { runtime, hosts: owned, isIsolated, isKnownToLack: (soname) => there.get(soname) === false };
}

function refuseUseless(
  { host }: ExecOptions,
  hosts: readonly Host[],
  capsules: readonly Pick<CapsulePlan, "search" | "isolated">[],
): void {
  const isUseless = ({ search, isolated }: Pick<CapsulePlan, "search" | "isolated">) =>
    !isolated.some((soname) => search.find(soname, undefined));
  if (host !== undefined && capsules.every(isUseless))
    throw new LinkError(
      `Cannot use the host tree "${host}": it has none of ${hosts.flatMap(({ choices }) => [...choices.keys()]).join(", ")}`,
      { object: host },
    );
}

/** libc was bound to its own malloc long ago, so what it allocates (strdup, getline) would be freed by another. */
function refuseOtherMalloc(program: Program, libraries: readonly Library[]): void {
  const other = [program.library, ...libraries].find(({ hasMalloc }) => hasMalloc);
  if (other)
    throw new NotHostableError(
      program.path,
      `"${other.path}" brings a malloc of its own, and libc in this process has bound to another`,
    );
}

const openedAhead = (sonames: readonly string[]): string[] => [
  ...new Set(Object.values(PROFILES).flatMap(({ ahead }) => sonames.flatMap((soname) => ahead[soname] ?? []))),
];

/** A host tree, and which libraries are to come from it. */
interface Host {
  readonly search: Search;
  /** Sonames, and whether the user has named them: then they must be there. */
  readonly choices: Map<string, boolean>;
  readonly newest: readonly string[];
}

interface OwnedHost extends Host {
  readonly ownership: Ownership;
}

/** Which sonames to isolate, and the tree of each: by SONAME=DIR, CAPSULE_<SONAME>_PREFIX, --host, CAPSULE_PREFIX, default. */
function chooseLibraries(options: ExecOptions, store: LibraryStore, trace: Trace): Host[] {
  const sonames = new Map<string, { directory?: string | undefined; isExplicit: boolean }>();
  const newest: string[] = [];
  for (const { isolate, newest: own } of chosenProfiles(options)) {
    newest.push(...own);
    for (const soname of [...isolate, ...own]) sonames.set(soname, { isExplicit: false });
  }
  for (const text of options.isolate) {
    const [soname = "", ...rest] = text.split("=");
    const directory = rest.length > 0 ? rest.join("=") : undefined;
    if (soname === "" || soname.includes("/") || directory === "")
      throw new UsageError(`Cannot isolate "${text}": SONAME or SONAME=DIR is needed`);
    if (isShared(soname)) throw new UsageError(`Cannot isolate "${soname}": the whole process has one copy of it`);
    sonames.set(soname, { directory, isExplicit: true });
  }
  if (options.host === "") throw new UsageError('Cannot use the host tree "": a directory is needed');
  const fallback = options.host ?? (process.env.CAPSULE_PREFIX || defaultHost());
  const hosts = new Map<string, Host>();
  for (const [soname, { directory, isExplicit }] of sonames) {
    const variable = `CAPSULE_${soname.toUpperCase().replace(/[^A-Z0-9]/g, "_")}_PREFIX`;
    const own = directory ?? process.env[variable];
    if (own && directory === undefined) trace.tell("plan", () => `${soname}: from ${own}, as ${variable} says`);
    const tree = openTree(own || fallback);
    const host = hosts.get(tree.root) ?? {
      search: new Search(tree, [], store),
      choices: new Map(),
      newest: newest.filter((name) => !sonames.get(name)?.isExplicit),
    };
    host.choices.set(soname, isExplicit);
    hosts.set(tree.root, host);
  }
  return [...hosts.values()];
}

function chosenProfiles({ profiles, isolate }: Pick<ExecOptions, "profiles" | "isolate">): Profile[] {
  if (profiles.length === 0) return isolate.length > 0 ? [] : Object.values(PROFILES);
  return profiles.map((name) => {
    const profile = Object.hasOwn(PROFILES, name) ? PROFILES[name] : undefined;
    if (!profile) throw new UsageError(`There is no profile "${name}": choose of ${Object.keys(PROFILES).join(", ")}`);
    return profile;
  });
}

/** Where containers show their host, or the machine itself. */
function defaultHost(): string {
  const hosts = ["/run/host", "/host"].filter((host) =>
    ["/usr/lib", "/usr/lib64", "/lib"].some((lib) => existsSync(host + lib)),
  );
  return hosts[0] ?? "/";
}

function openTree(directory: string): Tree {
  try {
    return new Tree(directory);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new LinkError(
      `Cannot use the host tree "${directory}": ${code === "ENOENT" ? "there is no such directory" : code}`,
      {
        object: directory,
        cause: error,
      },
    );
  }
}

/** Throws LinkError where the user has named the library and the tree does not have it. */
function isThere({ search, choices, newest }: Host, soname: string, runtime: Search, trace: Trace): boolean {
  if (choices.get(soname)) {
    mustFind(search, soname, undefined);
    return true;
  }
  const { name } = search.tree;
  if (!search.find(soname, undefined)) {
    trace.tell("plan", () => `${soname}: left to the runtime, ${name} does not have it`);
    return false;
  }
  if (!new Ownership(search, runtime, newest).isShared(soname)) return true;
  trace.tell("plan", () => `${soname}: the runtime's serves both sides, as it is newer than the one of ${name}`);
  return false;
}

/** A process has one glibc, and a library that was built for a newer one does not run on it. */
function checkGlibc(search: Search, glibc: string): void {
  const libc = search.find("libc.so.6", undefined);
  if (!libc) return;
  const theirs = newestOf(libc.library.versions, "GLIBC");
  if (compareVersions(theirs, glibc.split(".").map(Number)) > 0)
    throw new LinkError(
      `Cannot use the host tree "${search.tree.name}": its glibc is ${theirs.join(".")} ("${libc.path}"), newer than the ${glibc} that this process runs on`,
      { object: libc.path },
    );
}

/** As gnu_get_libc_version gives it. Throws LinkError where there is none. */
function versionOf(runtime: Search): string {
  const libc = runtime.find("libc.so.6", undefined);
  if (!libc) throw new LinkError('Cannot find "libc.so.6" in the runtime');
  return newestOf(libc.library.versions, "GLIBC").join(".");
}

/** The isolated libraries that the program or one of its libraries needs, and these libraries. Throws ProgramError for one that is missing. */
function runtimeNeeds(
  program: Program,
  runtime: Search,
  isIsolated: (soname: string) => boolean,
  trace: Trace,
): { needs: Set<string>; aliases: Map<string, string>; libraries: readonly Library[] } {
  try {
    const { closure, isolated: needs } = needsOf(program.library, runtime, isIsolated);
    for (const { library, why } of closure.members)
      trace.tell("search", () => `${library.path}: ${why}, for the program`);
    return {
      needs,
      aliases: new Map([...closure.aliases].filter(([, soname]) => isIsolated(soname))),
      libraries: closure.members.map(({ library }) => library),
    };
  } catch (error) {
    if (!(error instanceof LinkError)) throw error;
    throw new ProgramError(`Cannot run "${program.path}": ${error.message}`, EXIT.notFound, { cause: error });
  }
}

/** A library of one host tree may need one that is to come from another; that one is opened at the start, too. Throws LinkError for a circle. */
function addNeedsOfHosts(needs: Set<string>, hosts: readonly OwnedHost[]): void {
  const visit = (soname: string, users: readonly string[]): void => {
    if (users.includes(soname))
      throw new LinkError(
        `Cannot take "${soname}" from a host tree of its own: it needs "${users.at(-1)}", from another, which needs it`,
        { object: soname },
      );
    needs.add(soname);
    const ownership = hosts.find(({ choices }) => choices.has(soname))?.ownership;
    if (!ownership) return;
    const { elsewhere } = closureOf(ownership.host, [soname], (name) => ownership.isShared(name));
    for (const name of elsewhere.keys()) if (ownership.others.has(name)) visit(name, [...users, soname]);
  };
  for (const soname of [...needs]) visit(soname, []);
}

/** Finds the one copy of each member of the shared set: the runtime's, but of two unwinders the newer. */
function chooseShared(closure: Closure, ownership: Ownership, shared: Map<string, string>, trace: Trace): void {
  const { runtime, others } = ownership;
  const unwinder = newerUnwinder(ownership, trace);
  if (unwinder) shared.set(UNWINDER, unwinder.path);
  for (const [soname, needers] of closure.elsewhere) {
    if (shared.has(soname) || others.has(soname)) continue;
    const found = runtime.find(soname, undefined);
    if (!found)
      throw new LinkError(
        `Cannot find "${soname}", which "${needers[0]?.path}" needs, in the runtime: the whole process has one copy of it`,
        {
          object: soname,
        },
      );
    shared.set(soname, found.path);
  }
}

function environmentOf(profiles: readonly string[], search: Search): [string, string][] {
  const variables = chosenProfiles({ profiles, isolate: [] }).flatMap(({ environment }) => environment);
  const environment = new Map<string, string>();
  for (const variable of variables) {
    const value = settingOf(variable, search);
    if (value !== undefined) environment.set(variable.name, value);
  }
  return [...environment];
}

function settingOf({ kind, paths }: Variable, { tree, defaults }: Search): string | undefined {
  const expanded = paths.flatMap((path) =>
    path.startsWith(LIBDIR) ? defaults.map((dir) => path.replace(LIBDIR, dir)) : [path],
  );
  const real = [...new Set(expanded.map((path) => tree.resolve(path)).filter((path) => path !== undefined))];
  if (kind === "first") return real[0];
  const list = kind === "directories" ? real : real.flatMap(manifestsIn);
  return list.length > 0 ? list.join(delimiter) : undefined;
}

const manifestsIn = (directory: string): string[] =>
  readdirSync(directory)
    .filter((name) => name.endsWith(".json"))
    .sort()
    .map((name) => join(directory, name));
