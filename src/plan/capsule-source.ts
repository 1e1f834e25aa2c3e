// Types of a host tree and of what a launch takes from it.

import type { Search } from "../../lib/tree/search.ts";
import type { Ownership } from "./ownership.ts";

/** A host tree and what a launch takes from it. */
export interface CapsuleSource {
  readonly search: Search;
  readonly ownership: Ownership;
  /** All sonames that the program may see of it. */
  readonly isolated: Iterable<string>;
  /** Those that the tree has, or had when looked at: the runtime's copy never replaces them. */
  readonly promised: Iterable<string>;
  /** Variables that are set for the host's libraries, unless the user has set them. */
  readonly environment: readonly (readonly [name: string, value: string])[];
  readonly hooks: readonly Hook[];
}

/** A function that replaces one of an isolated library for the program. */
export interface Hook {
  readonly soname: string;
  readonly symbol: string;
  /** The shared object that defines it: a path without symbolic links. */
  readonly file: string;
  readonly function: string;
}
