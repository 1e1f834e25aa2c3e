// Everything that some libraries need, with all that is needed for it, in reverse
// dependency order: who comes later may need who comes earlier, so that a loader
// that is given them one by one never has to search.

import type { Library } from "../elf/library.ts";
import { type Dependencies, dependenciesOf, type Need, type Node } from "./dependencies.ts";
import type { Requester, Search } from "./search.ts";

/** A library of a closure: where it stands in it and how it came there. */
export type Member = Omit<Node, "needs">;

export interface Closure {
  /** Dependencies first; of libraries that need each other, who was asked for last. */
  readonly members: readonly Member[];
  /** The same, as a loader that is given the roots comes to them: breadth first. */
  readonly inLoadOrder: readonly Member[];
  /** The names that `isElsewhere` kept out, each with the libraries that need it. */
  readonly elsewhere: ReadonlyMap<string, readonly Library[]>;
  /** Other names under which some of those were asked for, each with the soname that the file has. */
  readonly aliases: ReadonlyMap<string, string>;
  /** Names of what the tree lacks, and nobody needs: somebody would filter it (DT_AUXILIARY). */
  readonly absent: readonly string[];
  /** What was open before, by the names by which it is needed: its file. */
  readonly open: ReadonlyMap<string, string>;
}

/**
 * `roots` are sonames or paths, as dependenciesOf takes them. Throws LinkError, with who needs it and where we looked,
 * for a library that is missing, and ElfError for one that is unsound.
 */
export function closureOf(
  search: Search,
  roots: readonly string[],
  isElsewhere: (soname: string) => boolean,
  requester?: Requester,
): Closure {
  return closureFrom(dependenciesOf(search, roots, isElsewhere, requester), requester?.library);
}

/** Throws as closureOf does. `requester` is who asks for the roots. */
export function closureFrom(dependencies: Dependencies, requester?: Library): Closure {
  const elsewhere = new Map<string, Library[]>();
  const aliases = new Map<string, string>();
  const open = new Map<string, string>();
  const look = (need: Need, needer: Library | undefined): void => {
    if ("fault" in need) throw need.fault;
    if ("open" in need) open.set(need.name, need.open);
    if (!("elsewhere" in need) || !needer) return;
    const needers = elsewhere.get(need.elsewhere);
    if (needers) needers.push(needer);
    else elsewhere.set(need.elsewhere, [needer]);
    if (need.name !== need.elsewhere) aliases.set(need.name, need.elsewhere);
  };
  for (const need of dependencies.roots) look(need, requester);
  for (const { library, needs } of dependencies.nodes) for (const need of needs) look(need, library);
  const absent = [...new Set(dependencies.nodes.flatMap(({ lacks }) => lacks))];
  return {
    members: dependenciesFirst(dependencies.roots),
    inLoadOrder: dependencies.nodes,
    elsewhere,
    aliases,
    absent,
    open,
  };
}

function dependenciesFirst(roots: readonly Need[]): Node[] {
  const visited = new Set<Node>();
  const members: Node[] = [];
  const visit = (need: Need): void => {
    if (!("node" in need) || visited.has(need.node)) return;
    visited.add(need.node);
    need.node.needs.forEach(visit);
    members.push(need.node);
  };
  roots.forEach(visit);
  return members;
}
