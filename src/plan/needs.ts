// What a program of the runtime needs, libraries of its own side and isolated ones, and what the host's libraries in a
// capsule need.

import type { Library } from "../../lib/elf/library.ts";
import { type Closure, closureOf } from "../../lib/tree/closure.ts";
import { type Dependencies, dependenciesOf, dependenciesOfFile } from "../../lib/tree/dependencies.ts";
import type { Requester, Search } from "../../lib/tree/search.ts";
import { isShared } from "../profiles/shared-set.ts";
import type { OwnedTree } from "./host-tree.ts";

interface ProgramNeeds {
  /** The runtime's libraries. */
  readonly closure: Closure;
  /** Isolated ones that the program or a library of the closure needs, by soname. */
  readonly isolated: Set<string>;
}

/** Throws LinkError for a missing library, and ElfError. */
export function needsOf(program: Library, runtime: Search, isIsolated: (soname: string) => boolean): ProgramNeeds {
  const isElsewhere = (soname: string) => isShared(soname) || isIsolated(soname);
  const direct = program.needed.filter((soname) => !isElsewhere(soname));
  const closure = closureOf(runtime, direct, isElsewhere, { library: program });
  return { closure, isolated: new Set([...program.needed, ...closure.elsewhere.keys()].filter(isIsolated)) };
}

/** What host libraries that `requester` asks for need; `open` maps the names of open files to their paths. */
export const needsIn = (
  { search, ownership }: OwnedTree,
  names: readonly string[],
  requester?: Requester,
  open?: ReadonlyMap<string, string>,
): Dependencies => dependenciesOf(search, names, (soname) => ownership.isShared(soname), requester, open);

/** What a library outside a host tree needs from that tree. `origin` is as in Requester. */
export const needsOfOutsider = (
  { search, ownership }: OwnedTree,
  library: Library,
  origin?: string,
  open?: ReadonlyMap<string, string>,
): Dependencies => dependenciesOfFile(search, { library, origin }, (soname) => ownership.isShared(soname), open);
