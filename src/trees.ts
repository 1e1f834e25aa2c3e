// Which trees a run has to do with: where the program's own libraries are, which
// library is to come from which host tree, and whose glibc everybody runs on.

import { existsSync } from "node:fs";
import { LinkError } from "../lib/loader/error.ts";
import type { System } from "../lib/process/system.ts";
import type { LibraryStore } from "../lib/tree/library-store.ts";
import { mustFind, Search } from "../lib/tree/search.ts";
import { Tree } from "../lib/tree/tree.ts";
import { canBeOnPath } from "./attached/serving-directory.ts";
import { UsageError } from "./errors.ts";
import { type ChosenGlibc, chooseGlibc, type GlibcChoice, type OwnGlibc } from "./glibc/choice.ts";
import { Ownership } from "./ownership.ts";
import { PROFILES, type Profile } from "./profiles/profiles.ts";
import { isShared } from "./shared-set.ts";
import type { Trace } from "./trace.ts";

export interface TreeOptions {
  readonly host?: string | undefined;
  /** Where the program's own libraries are, if not where the machine has them. */
  readonly runtime?: string | undefined;
  /** Each a soname, or SONAME=DIR for another host tree. */
  readonly isolate: readonly string[];
  readonly profiles: readonly string[];
  readonly glibc: GlibcChoice;
}

export interface Trees {
  readonly store: LibraryStore;
  /** The machine's own: what a program that the kernel starts finds by itself. */
  readonly machine: Search;
  /** The program's. */
  readonly runtime: Search;
  readonly hosts: readonly Host[];
  readonly glibc: ChosenGlibc;
}

/** The runtime's and the hosts'. */
export const searchesOf = ({ runtime, hosts }: Trees): Search[] => [runtime, ...hosts.map(({ search }) => search)];

/** `own` is the glibc that a process has without our doing. Throws UsageError and LinkError. */
export function chooseTrees(
  options: TreeOptions,
  own: (runtime: Search) => OwnGlibc,
  store: LibraryStore,
  system: System,
  trace: Trace,
): Trees {
  if (options.runtime === "") throw new UsageError('Cannot use the runtime "": a directory is needed');
  const libraryPath = (process.env.LD_LIBRARY_PATH ?? "").split(/[:;]/).filter(Boolean);
  const machine = new Search(new Tree("/"), libraryPath, store);
  const given = options.runtime ?? process.env.CAPSULE_RUNTIME;
  const tree = given ? openTree(given, "runtime") : machine.tree;
  const runtime = tree.root === "" ? machine : new Search(tree, libraryPath, store);
  const hosts = chooseLibraries(options, store, trace);
  for (const { tree } of [runtime, ...hosts.map(({ search }) => search)])
    if (tree.root !== "" && system.isNoexec(tree.root))
      throw new LinkError(
        `Cannot use "${tree.name}": its file system is mounted noexec, so that no library can be loaded from there`,
        { object: tree.name },
      );
  if (!canBeOnPath(runtime.tree.root))
    throw new LinkError(
      `Cannot use the runtime "${runtime.tree.name}": a library path has no place for a name with a colon, a semicolon or a dollar sign`,
      { object: runtime.tree.name },
    );
  for (const { search } of hosts)
    if (search.tree.root.includes("$"))
      throw new LinkError(
        `Cannot use the host tree "${search.tree.name}": ld.so takes a dollar sign in the path of a library for something else`,
        { object: search.tree.name },
      );
  const { glibc: choice } = options;
  const sources = {
    ...{ own: own(machine), machine, runtime, hosts: hosts.map(({ search }) => search) },
    named: typeof choice === "string" ? undefined : new Search(openTree(choice.tree, "glibc"), [], store),
  };
  return { store, machine, runtime, hosts, glibc: chooseGlibc(choice, sources, system, trace) };
}

export interface Chosen {
  readonly hosts: readonly OwnedHost[];
  /** Is it taken from a host tree that has it? */
  isIsolated(soname: string): boolean;
  /** Has somebody asked for it, and the tree does not have it? */
  isKnownToLack(soname: string): boolean;
}

/** Which libraries come from which host tree, whoever needs them. Throws LinkError. */
export function chooseHosts({ runtime, hosts }: Trees, trace: Trace): Chosen {
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
  return { hosts: owned, isIsolated, isKnownToLack: (soname) => there.get(soname) === false };
}

/** A host tree, and which libraries are to come from it. */
export interface Host {
  readonly search: Search;
  /** Sonames, and whether the user has named them: then they must be there. */
  readonly choices: Map<string, boolean>;
  readonly newest: readonly string[];
}

export interface OwnedHost extends Host {
  readonly ownership: Ownership;
}

/** Which sonames to isolate, and the tree of each: by SONAME=DIR, CAPSULE_<SONAME>_PREFIX, --host, CAPSULE_PREFIX, default. */
function chooseLibraries(options: TreeOptions, store: LibraryStore, trace: Trace): Host[] {
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
  const fallback = hostDirectory(options.host);
  const hosts = new Map<string, Host>();
  for (const [soname, { directory, isExplicit }] of sonames) {
    const variable = `CAPSULE_${soname.toUpperCase().replace(/[^A-Z0-9]/g, "_")}_PREFIX`;
    const own = directory ?? process.env[variable];
    if (own && directory === undefined) trace.tell("plan", () => `${soname}: from ${own}, as ${variable} says`);
    const tree = openTree(own || fallback, "host tree");
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

export function chosenProfiles({ profiles, isolate }: Pick<TreeOptions, "profiles" | "isolate">): Profile[] {
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

/** The host tree that --host names, or else the default. Throws UsageError and LinkError. */
export const openHost = (host: string | undefined): Tree => openTree(hostDirectory(host), "host tree");

function hostDirectory(host: string | undefined): string {
  if (host === "") throw new UsageError('Cannot use the host tree "": a directory is needed');
  return host ?? (process.env.CAPSULE_PREFIX || defaultHost());
}

function openTree(directory: string, what: "host tree" | "runtime" | "glibc"): Tree {
  try {
    return new Tree(directory);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new LinkError(
      `Cannot use the ${what}${what === "glibc" ? " of" : ""} "${directory}": ${code === "ENOENT" ? "there is no such directory" : code}`,
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
