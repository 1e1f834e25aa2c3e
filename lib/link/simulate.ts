// A link that changes nothing: what ld.so would do with a program's files, in memory that
// is not there.

import type { Search } from "../tree/search.ts";
import { type Linked, type LinkOptions, link } from "./link.ts";
import { protectRelro } from "./map.ts";
import { type Area, SimulatedSpace } from "./simulated-space.ts";

export interface Simulation extends Linked {
  readonly space: SimulatedSpace;
  /** Before RELRO has been protected. */
  readonly mapped: readonly Area[];
}

/** As link(); resolvers are not called, so what they choose is not in its slots. */
export function simulate(search: Search, program: string, options: LinkOptions = {}): Simulation {
  const space = new SimulatedSpace();
  const linked = link(space, search, program, options);
  const mapped = space.areas;
  for (const object of linked.objects) protectRelro(space, object);
  return { ...linked, space, mapped };
}
