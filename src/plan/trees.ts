// The trees of a run: where the program's own libraries are, which library comes from which host tree, and whose glibc
// the process runs on.

import { statSync } from "node:fs";
import { LinkError } from "../../lib/link-error.ts";
import type { System } from "../../lib/process/system.ts";
import { LibraryStore } from "../../lib/tree/library-store.ts";
import { libraryPathOf, mustFind, reasonOf, Search } from "../../lib/tree/search.ts";
import { Tree } from "../../lib/tree/tree.ts";
import type { Trace } from "../diagnostics/trace.ts";
import { canBeOnPath } from "../directories/library-path.ts";
import { FAMILIES } from "../profiles/profiles.ts";
import { variableOf } from "../settings/keys.ts";
import { asSays, type Setting } from "../settings/source.ts";
import {
  type FurtherDirectories,
  type LibraryChoice,
  NOTHING_FURTHER,
  type TreeOptions,
} from "../settings/tree-options.ts";
import { chooseGlibc, type GlibcDecision, type OwnGlibc } from "./glibc/choice.ts";
import type { OwnedTree } from "./host-tree.ts";
import { layoutOf } from "./layout.ts";
import { Ownership } from "./ownership.ts";

export interface Trees {
  readonly store: LibraryStore;
  /** The machine's own: what a program finds that the kernel starts. */
  readonly machine: Search;
  /** The program's. */
  readonly runtime: Search;
  readonly hosts: readonly Host[];
  /** See Ownership. */
  readonly newest: readonly string[];
  /** The libraries to isolate from these hosts. */
  readonly libraries: readonly LibraryChoice[];
  readonly glibc: GlibcDecision;
}

/** The searches of the runtime and the hosts. */
export const searchesOf = ({ runtime, hosts }: Trees): Search[] => [runtime, ...hosts.map(({ search }) => search)];

/**
 * `own` is the glibc that the process would have without capsule; `program` the file to run, without symbolic links, if
 * any. Throws UsageError and LinkError.
 */
export function chooseTrees(
  options: TreeOptions,
  own: (runtime: Search) => OwnGlibc,
  store: LibraryStore,
  system: System,
  trace: Trace,
  program: string | undefined,
): Trees {
  const libraryPath = libraryPathOf(process.env.LD_LIBRARY_PATH);
  const machine = new Search(new Tree("/"), libraryPath, store, program);
  const given = options.runtime.value;
  const tree = given === undefined ? machine.tree : openTree({ ...options.runtime, value: given }, "runtime");
  const runtime = tree.root === "" ? machine : new Search(tree, libraryPath, store, program);
  const { hosts, libraries } = chooseLibraries(options, store, trace);
  const cannotUse = (what: string, { name }: Tree, why: string) =>
    new LinkError(`Cannot use ${what}"${name}": ${why}`, { object: name });
  const trees = hosts.map(({ search }) => search.tree);
  for (const tree of [runtime.tree, ...trees])
    if (tree.root !== "" && system.isNoexec(tree.root))
      throw cannotUse("", tree, "its file system is mounted noexec, so that no library can be loaded from there");
  if (!canBeOnPath(runtime.tree.root)) throw cannotUse("the runtime ", runtime.tree, NO_PLACE);
  for (const tree of trees) if (tree.root.includes("$")) throw cannotUse("the host tree ", tree, DOLLAR);
  const { value: choice, source } = options.glibc;
  const sources = {
    ...{ own: own(machine), machine, runtime, hosts: hosts.map(({ search }) => search) },
    named:
      typeof choice === "string"
        ? undefined
        : hostSearch(openTree({ value: choice.tree, source }, "glibc of"), NOTHING_FURTHER, store),
  };
  const glibc = chooseGlibc(choice, sources, system, trace);
  return { store, machine, runtime, hosts, newest: options.newest, libraries, glibc };
}

const NO_PLACE = "a library path has no place for a name with a colon, a semicolon or a dollar sign";
const DOLLAR = "ld.so takes a dollar sign in the path of a library for something else";

export interface Chosen {
  readonly hosts: readonly OwnedHost[];
  /** Does it come from a host tree that has it? */
  isIsolated(soname: string): boolean;
  /** Why libraries that were asked for are left to the runtime, by soname. */
  readonly left: ReadonlyMap<string, string>;
}

/** Which libraries come from which host tree. Throws LinkError. */
export function chooseHosts({ runtime, hosts, newest }: Trees, trace: Trace): Chosen {
  // Whether a tree has a library that nothing needs at the start is looked up only on request.
  const there = new Set<string>();
  const left = new Map<string, string>();
  const isIsolated = (soname: string) => {
    if (there.has(soname) || left.has(soname)) return there.has(soname);
    const host = hosts.find(({ choices }) => choices.has(soname));
    if (!host) return false;
    const why = reasonToLeave(host, soname, new Ownership(host.search, runtime, newest));
    if (why === undefined) there.add(soname);
    else {
      left.set(soname, why);
      trace.log("plan", () => `${soname}: left to the runtime, as ${why}`);
    }
    return why === undefined;
  };
  for (const { choices } of hosts) for (const [soname, isExplicit] of choices) if (isExplicit) isIsolated(soname);
  const owned = hosts.map((host) => {
    const others = hosts.flatMap(({ choices }) => (choices === host.choices ? [] : [...choices.keys()]));
    const ownership = new Ownership(host.search, runtime, newest, new Set(others.filter(isIsolated)));
    return { ...host, ownership };
  });
  return { hosts: owned, isIsolated, left };
}

/** A host tree and the libraries to take from it. */
export interface Host {
  readonly search: Search;
  /** Sonames, and whether the user has named them: those must exist. */
  readonly choices: Map<string, boolean>;
}

export interface OwnedHost extends Host, OwnedTree {}

function chooseLibraries(
  { libraries: asked, further }: TreeOptions,
  store: LibraryStore,
  trace: Trace,
): { readonly hosts: Host[]; readonly libraries: LibraryChoice[] } {
  const searches = new Map<string, Search>();
  const searchOf = (directory: Setting<string>): Search => {
    const tree = openTree(directory);
    const search = searches.get(tree.root) ?? hostSearch(tree, further.value, store);
    searches.set(tree.root, search);
    return search;
  };
  const hosts = new Map<Search, Host>();
  const libraries = asked.map((choice) => whereItStays(choice, asked, searchOf));
  for (const { soname, host: directory, isExplicit, follows } of libraries) {
    const { value, source } = directory;
    if (follows) trace.log("plan", () => `${soname}: from ${value}, as ${follows.soname} is, with which it belongs`);
    else if (source.kind === "variable" && source.name === variableOf(soname))
      trace.log("plan", () => `${soname}: from ${value}${asSays(source)}`);
    const search = searchOf(directory);
    const host = hosts.get(search) ?? { search, choices: new Map() };
    host.choices.set(soname, isExplicit);
    hosts.set(search, host);
  }
  refuseMissing(further, [...searches.values()]);
  return { hosts: [...hosts.values()], libraries };
}

/** The search in a host tree. Throws what reading its cache throws. */
export const hostSearch = (tree: Tree, further: FurtherDirectories, store = new LibraryStore()): Search =>
  new Search(tree, [], store, undefined, layoutOf(tree, further, store));

/** Throws LinkError for a directory that the user has named and no host tree has. */
export function refuseMissing({ value, source }: Setting<FurtherDirectories>, searches: readonly Search[]): void {
  for (const [what, directories] of Object.entries(value))
    for (const directory of directories)
      if (!searches.some(({ tree }) => tree.resolve(tree.holds(directory) ? tree.inside(directory) : directory)))
        throw new LinkError(
          `Cannot use the directory "${directory}" for ${what}${asSays(source)}: ${searches.map(({ tree }) => `"${tree.name}"`).join(", ")} ${searches.length === 1 ? "does" : "do"} not have it`,
          { object: directory },
        );
}

/**
 * A library that follows another of its family into a tree that lacks it comes from its default tree instead. If the
 * two need each other's private functions, it is left to the runtime.
 */
function whereItStays(
  choice: LibraryChoice,
  all: readonly LibraryChoice[],
  searchOf: (directory: Setting<string>) => Search,
): LibraryChoice {
  const { soname, host, isExplicit, follows } = choice;
  if (!follows?.otherwise || isExplicit) return choice;
  const search = searchOf(host);
  const other = searchOf(follows.otherwise);
  if (search === other || search.find(soname, undefined)) return choice;
  const found = other.find(soname, undefined);
  if (!found) return choice;
  const family = Object.values(FAMILIES).find(({ libraries }) => libraries.includes(soname));
  const siblings = all.filter((one) => family?.libraries.includes(one.soname) && searchOf(one.host) === search);
  const isNeeded = () => siblings.some((one) => needed(search, one.soname).includes(soname));
  const isNeeding = () => found.library.needed.some((name) => siblings.some((one) => one.soname === name));
  if (family?.isPrivate && (isNeeded() || isNeeding())) return choice;
  return { ...choice, host: follows.otherwise, follows: undefined };
}

const needed = (search: Search, soname: string): readonly string[] =>
  search.find(soname, undefined)?.library.needed ?? [];

/** Why a directory cannot be used as a tree. */
const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "there is no such directory",
  ENOTDIR: "it is no directory",
};

/** Throws LinkError. */
export function openTree(
  { value: directory, source }: Setting<string>,
  what: "host tree" | "runtime" | "glibc of" | "provider" | "container" | "folder" = "host tree",
): Tree {
  try {
    const tree = new Tree(directory);
    if (!statSync(tree.name).isDirectory()) throw Object.assign(new Error(), { code: "ENOTDIR" });
    return tree;
  } catch (error) {
    const { code = "" } = error as NodeJS.ErrnoException;
    throw new LinkError(`Cannot use the ${what} "${directory}"${asSays(source)}: ${REASONS[code] ?? reasonOf(code)}`, {
      object: directory,
      cause: error,
    });
  }
}

/**
 * Why a library is left to the runtime; undefined if it is isolated. Throws LinkError if the user has named it and the
 * tree does not have it.
 */
function reasonToLeave({ search, choices }: Host, soname: string, ownership: Ownership): string | undefined {
  if (choices.get(soname)) {
    mustFind(search, soname, undefined);
    return undefined;
  }
  const { name } = search.tree;
  if (!search.find(soname, undefined)) return `${name} does not have it`;
  if (!ownership.isShared(soname)) return undefined;
  return `the runtime's serves both sides, being newer than the one of ${name}`;
}
