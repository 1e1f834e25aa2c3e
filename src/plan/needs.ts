// What a program of the runtime needs: libraries of its own side, and isolated ones.

import type { Library } from "../../lib/elf/library.ts";
import { type Closure, closureOf } from "../../lib/tree/closure.ts";
import type { Search } from "../../lib/tree/search.ts";
import { isShared } from "./shared-set.ts";

export interface ProgramNeeds {
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
