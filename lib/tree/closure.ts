// Everything that some libraries need, directly or not, dependencies first, so that a loader that is given them one by
// one never has to search.

import { ElfError } from "../elf/error.ts";
import type { Library } from "../elf/library.ts";
import { type Dependencies, dependenciesOf, type Need, type Node } from "./dependencies.ts";
import type { Requester, Search } from "./search.ts";

/** A library of a closure, and how it was found. */
export type Member = Omit<Node, "needs">;

export interface Closure {
  /** Dependencies first; in a cycle, the library that was requested last comes first. */
  readonly members: readonly Member[];
  readonly libraries: readonly Library[];
  /** The same libraries in the order of a loader that is given the roots: breadth first. */
  readonly inLoadOrder: readonly Member[];
  /** The names that `isElsewhere` excluded, each with the libraries that need it. */
  readonly elsewhere: ReadonlyMap<string, readonly Library[]>;
  /** Other names under which some of those were requested, each with the file's soname. */
  readonly aliases: ReadonlyMap<string, string>;
  /** Names that the tree lacks and that are only optional filtees (DT_AUXILIARY). */
  readonly absent: readonly string[];
  /** Libraries that were open before, by the name needed: the file. */
  readonly open: ReadonlyMap<string, string>;
}

/**
 * `roots` are sonames or paths, as for dependenciesOf. Throws LinkError for a missing library, with its requester and
 * the searched places, and ElfError for a malformed one.
 */
export function closureOf(
  search: Search,
  roots: readonly string[],
  isElsewhere: (soname: string) => boolean,
  requester?: Requester,
): Closure {
  return closureFrom(dependenciesOf(search, roots, isElsewhere, requester), requester?.library);
}

/** Throws like closureOf. `requester` requests the roots. */
export function closureFrom(dependencies: Dependencies, requester?: Library): Closure {
  const elsewhere = new Map<string, Library[]>();
  const aliases = new Map<string, string>();
  const open = new Map<string, string>();
  const look = (need: Need, needer: Library | undefined): void => {
    if ("fault" in need) throw need.fault;
    if ("open" in need) open.set(need.name, need.open);
    if (!("elsewhere" in need) || !needer) return;
    elsewhere.getOrInsert(need.elsewhere, []).push(needer);
    if (need.name !== need.elsewhere) aliases.set(need.name, need.elsewhere);
  };
  for (const need of dependencies.roots) look(need, requester);
  for (const { library, needs } of dependencies.nodes) for (const need of needs) look(need, library);
  const absent = [...new Set(dependencies.nodes.flatMap(({ lacks }) => lacks))];
  const members = dependenciesFirst(nodesOf(dependencies.roots), ({ needs }) => nodesOf(needs));
  return {
    members,
    libraries: members.map(({ library }) => library),
    inLoadOrder: dependencies.nodes,
    elsewhere,
    aliases,
    absent,
    open,
  };
}

/**
 * Throws ElfError for a member that needs versions of a file which nobody here needs by that name (DT_NEEDED), unless
 * it is open by it: in glibc (2.36, 2.41) an assertion then ends the process.
 */
export function checkVersionsBeside(
  { libraries }: Pick<Closure, "libraries">,
  isOpen: (name: string) => boolean,
): void {
  const isNeeded = (file: string) =>
    libraries.some(({ needed, filtees }) => needed.includes(file) || filtees.some(({ name }) => name === file));
  for (const { path, versionsBeside } of libraries)
    for (const file of versionsBeside)
      if (!isNeeded(file) && !isOpen(file))
        throw new ElfError(path, "DT_VERNEED", `it needs versions of "${file}", which is not in DT_NEEDED`);
}

const nodesOf = (needs: readonly Need[]): Node[] => needs.flatMap((need) => ("node" in need ? [need.node] : []));

/** Depth first, each member once: what it needs, then itself. */
export function dependenciesFirst<Member>(
  roots: readonly Member[],
  needsOf: (member: Member) => readonly Member[],
): Member[] {
  const visited = new Set<Member>();
  const order: Member[] = [];
  const visit = (member: Member): void => {
    if (visited.has(member)) return;
    visited.add(member);
    needsOf(member).forEach(visit);
    order.push(member);
  };
  roots.forEach(visit);
  return order;
}
