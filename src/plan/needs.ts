// What a program of the runtime needs: libraries of its own side, and isolated ones. And
// what the host's libraries need, in a capsule.

import type { Library } from "../../lib/elf/library.ts";
import { type Closure, closureFrom, closureOf } from "../../lib/tree/closure.ts";
import { type Dependencies, dependenciesOf, dependenciesOfFile } from "../../lib/tree/dependencies.ts";
import type { Requester, Search } from "../../lib/tree/search.ts";
import { isShared } from "../profiles/shared-set.ts";
import type { CapsuleSource } from "./capsule-source.ts";

interface ProgramNeeds {
  /** The runtime's libraries. */
  readonly closure: Closure;
  /** Isolated ones that the program or one of these needs by their sonames. */
  readonly isolated: Set<string>;
}

/** Throws LinkError for a library that is missing, and ElfError. */
export function needsOf(program: Library, runtime: Search, isIsolated: (soname: string) => boolean): ProgramNeeds {
  const isElsewhere = (soname: string) => isShared(soname) || isIsolated(soname);
  const direct = program.needed.filter((soname) => !isElsewhere(soname));
  const closure = closureOf(runtime, direct, isElsewhere, { library: program });
  return { closure, isolated: new Set([...program.needed, ...closure.elsewhere.keys()].filter(isIsolated)) };
}

type Tree = Pick<CapsuleSource, "search" | "ownership">;

/** What libraries of a host tree need, which `requester` asks for; `open` are files that are open, by name. */
export const needsIn = (
  { search, ownership }: Tree,
  names: readonly string[],
  requester?: Requester,
  open?: ReadonlyMap<string, string>,
): Dependencies => dependenciesOf(search, names, (soname) => ownership.isShared(soname), requester, open);

/** What a library needs from a host tree that does not have it. `origin` is as a requester's. */
export const needsOfOutsider = (
  { search, ownership }: Tree,
  library: Library,
  origin?: string,
  open?: ReadonlyMap<string, string>,
): Dependencies => dependenciesOfFile(search, { library, origin }, (soname) => ownership.isShared(soname), open);

/** A library that the host tree does not have, with what it needs from there. Throws as closureOf does. */
export const closureOfOutsider = (tree: Tree, library: Library): Closure => closureFrom(needsOfOutsider(tree, library));
