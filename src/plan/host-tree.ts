// What a launch takes from a host tree: the record that plans, passes and servers work with, and the same as JSON, in
// which it reaches a server.

import type { Layout } from "../../lib/tree/layout.ts";
import { Search } from "../../lib/tree/search.ts";
import { Tree } from "../../lib/tree/tree.ts";
import { Ownership } from "./ownership.ts";

export interface OwnedTree {
  readonly search: Search;
  readonly ownership: Ownership;
}

interface Taken {
  /** All sonames that the program may see of it. */
  readonly isolated: readonly string[];
  /** Those that the tree has, or had when looked at: the runtime's copy never replaces them. */
  readonly promised: readonly string[];
  /** Variables that are set for the host's libraries, unless the user has set them. */
  readonly environment: readonly (readonly [name: string, value: string])[];
  readonly hooks: readonly Hook[];
  /** What its libraries will probably open later: sonames, and paths in the tree that may begin with LIBDIR. */
  readonly ahead: readonly string[];
}

/** A host tree and what a launch takes from it. */
export interface HostTree extends OwnedTree, Taken {}

/** The same as JSON. */
export interface HostTreeData extends Taken {
  readonly root: string;
  readonly layout: Layout;
  /** See Ownership. */
  readonly newest: readonly string[];
  readonly others: readonly string[];
}

export const dataOf = ({ search, ownership, ...host }: HostTree): HostTreeData => ({
  root: search.tree.root,
  layout: search.layout,
  newest: ownership.newest,
  others: [...ownership.others],
  isolated: host.isolated,
  promised: host.promised,
  environment: host.environment,
  hooks: host.hooks,
  ahead: host.ahead,
});

/**
 * Resolves nothing, as the process that wrote the data has: the tree may be gone by now, and Bun's realpath uses
 * /proc/self/fd, which does not have the descriptors of a hosted program's server.
 */
export function hostTreeOf({ root, layout, newest, others, ...taken }: HostTreeData, runtime: Search): HostTree {
  const search = new Search(new Tree(root, true), [], runtime.store, undefined, layout);
  return { ...taken, search, ownership: new Ownership(search, runtime, newest, new Set(others)) };
}

/** A function that replaces one of an isolated library for the program. */
export interface Hook {
  readonly soname: string;
  readonly symbol: string;
  /** The shared object that defines it: a path without symbolic links. */
  readonly file: string;
  readonly function: string;
}
