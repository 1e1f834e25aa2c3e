// A link without effects: what ld.so would do with a program's files, in simulated memory.

import type { Search } from "../tree/search.ts";
import { type Linked, type LinkOptions, link } from "./link.ts";
import { protectRelro } from "./map.ts";
import { type Area, SimulatedSpace } from "./simulated-space.ts";

export interface Simulation extends Linked {
  readonly space: SimulatedSpace;
  /** The mappings before RELRO is protected. */
  readonly mapped: readonly Area[];
}

/** Like link(). Resolvers are not called, so their results are not in the slots. */
export function simulate(search: Search, program: string, options: LinkOptions = {}): Simulation {
  const space = new SimulatedSpace();
  const linked = link(space, search, program, options);
  const mapped = space.areas;
  for (const object of linked.objects) protectRelro(space, object);
  return { ...linked, space, mapped };
}
