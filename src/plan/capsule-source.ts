// A host tree, and what a launch takes from it.

import type { Search } from "../../lib/tree/search.ts";
import type { Ownership } from "./ownership.ts";

/** A host tree and what is taken from it. */
export interface CapsuleSource {
  readonly search: Search;
  readonly ownership: Ownership;
  /** All that the program may see of it. */
  readonly isolated: Iterable<string>;
  /** Those of them that the tree is known to have, or had: nobody gets the runtime's in their place. */
  readonly promised: Iterable<string>;
  /** Variables that the host's libraries find in their environment, unless the user has set them. */
  readonly environment: readonly (readonly [name: string, value: string])[];
  readonly hooks: readonly Hook[];
}

/** A function that the program gets in place of one of an isolated library. */
export interface Hook {
  readonly soname: string;
  readonly symbol: string;
  /** The shared object that has it: a path, without symbolic links. */
  readonly file: string;
  readonly function: string;
}
