// libgcc_s.so.1: a process has one copy, the newest that any tree has.

import { compareVersions, newestOf } from "../../../lib/elf/glibc-version.ts";
import type { Found, Search } from "../../../lib/tree/search.ts";
import type { Trace } from "../../diagnostics/trace.ts";
import { UNWINDER } from "../../profiles/shared-set.ts";
import { type ChosenGlibc, runsOn } from "./choice.ts";

/** The line that --trace prints about it. */
export const tellUnwinder = (path: string | undefined, trace: Trace): void =>
  trace.log(
    "plan",
    () => `${UNWINDER}: ${path ? `"${path}", the newest of all trees'` : "the runtime's, as no other is newer"}`,
  );

/** Undefined if it is the first tree's, which a process finds by itself. */
export function newestUnwinder(
  trees: readonly Search[],
  { version, isNatural }: Pick<ChosenGlibc, "version" | "isNatural">,
): Found | undefined {
  const [own, ...others] = trees.map((tree) => tree.find(UNWINDER, undefined));
  const newest = others.reduce(
    (best, one) => (one && runsOn(one.library, version) && isNewer(one, best) ? one : best),
    own,
  );
  return newest === own && isNatural ? undefined : newest;
}

const isNewer = (one: Found, other: Found | undefined): boolean =>
  !other || compareVersions(versionOf(one), versionOf(other)) > 0;

const versionOf = ({ library }: Found): number[] => newestOf(library.versions, "GCC");
