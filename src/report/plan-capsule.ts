// One host tree in a plan: what is taken from it, which settings asked for that, and what it needs.

import type { Library } from "../../lib/elf/library.ts";
import type { Member } from "../../lib/tree/closure.ts";
import type { HostTree } from "../plan/host-tree.ts";
import type { Chosen, OwnedHost, Trees } from "../plan/trees.ts";
import type { Source } from "../settings/source.ts";
import type { LibraryChoice } from "../settings/tree-options.ts";
import type { Asked, IsolatedLibrary, PlannedCapsule, PlannedLibrary, PlannedSource } from "./plan-data.ts";

export interface Found {
  /** Isolated libraries that the program needs at the start. Undefined if unknown. */
  readonly atStart: readonly string[] | undefined;
  /** The tree's libraries, isolated ones included, in ld.so's load order. */
  readonly members: readonly Member[];
  /** What these need and the tree does not provide, with the libraries that need it, by soname. */
  readonly elsewhere: ReadonlyMap<string, readonly Library[]>;
  /** The libraries that need each soname on the program's side. */
  readonly needers: ReadonlyMap<string, readonly Library[]>;
  readonly environment: HostTree["environment"];
  readonly hooks: HostTree["hooks"];
}

export function capsuleOf(
  { search, choices }: OwnedHost,
  { isIsolated, left }: Chosen,
  { libraries }: Pick<Trees, "libraries">,
  { atStart, members, needers, environment, hooks }: Found,
): PlannedCapsule {
  const choiceOf = new Map(libraries.map((choice) => [choice.soname, choice]));
  const asked = (soname: string): Asked => askedOf(choiceOf.get(soname) as LibraryChoice);
  const isolated = [...choices.keys()].filter(isIsolated).flatMap((soname): IsolatedLibrary[] => {
    const found = search.find(soname, undefined);
    if (!found) return [];
    const when = atStart === undefined ? "unknown" : atStart.includes(soname) ? "start" : "use";
    const neededBy = when === "start" ? (needers.get(soname) ?? []).map(({ path }) => path) : [];
    return [{ soname, path: found.path, why: found.why, when, neededBy: [...new Set(neededBy)], ...asked(soname) }];
  });
  const shown = new Set(isolated.map(({ path }) => path));
  return {
    tree: search.tree.name,
    libraryDirectories: [...search.layout.first, ...search.layout.last],
    shareDirectories: search.layout.shares,
    isolated,
    dependencies: members.filter(({ library }) => !shown.has(library.path)).map(libraryOf),
    left: [...left]
      .filter(([soname]) => choices.has(soname))
      .map(([soname, why]) => ({ soname, why, ...asked(soname) })),
    hooks,
    environment: environment.map(([name, value]) => {
      return { name, value, isOverridden: process.env[name] !== undefined };
    }),
  };
}

export const libraryOf = ({ library: { soname, path }, why, requester }: Member): PlannedLibrary => {
  return { soname, path, why, neededBy: requester?.library.path ?? null };
};

const askedOf = ({ profiles, source, host, follows }: LibraryChoice): Asked => ({
  profiles,
  source: sourceOf(source),
  treeSource: sourceOf(host.source),
  follows: follows?.soname ?? null,
});

export function sourceOf(source: Source): PlannedSource {
  switch (source.kind) {
    case "file":
      return { kind: "file", name: source.path, line: source.line ?? null };
    case "default":
      return { kind: "default", name: null, line: null };
    default:
      return { kind: source.kind, name: source.name, line: null };
  }
}
