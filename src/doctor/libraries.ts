// Which of the profiles' libraries a host tree has, and whether it has all their dependencies.

import { ElfError } from "../../lib/elf/error.ts";
import type { Library } from "../../lib/elf/library.ts";
import { dependenciesOf } from "../../lib/tree/dependencies.ts";
import type { Search } from "../../lib/tree/search.ts";
import type { Profile } from "../profiles/profiles.ts";
import { type Complaint, type Finding, fine, hindrance, warning } from "./finding.ts";

/** `asked` are the profiles that the user named. For the others, libraries that neither side has do not matter. */
export function profileFindings(
  search: Search,
  runtime: Search,
  names: readonly string[],
  profiles: Readonly<Record<string, Profile>>,
  asked: ReadonlySet<string>,
): Finding[] {
  const { name: tree } = search.tree;
  // A library that several profiles list says nothing about any of them.
  const listed = Object.values(profiles).map(({ isolate, newest }) => [...isolate, ...newest]);
  const isSeverals = (soname: string) => listed.filter((list) => list.includes(soname)).length > 1;
  return names.flatMap((name) => {
    const profile = profiles[name];
    if (!profile) return [];
    const own = profile.isolate.filter((soname) => !isSeverals(soname));
    const missing = own.filter((soname) => !search.find(soname, undefined));
    if (missing.length === 0) return fine(`profile-${name}`, `${tree} has all libraries of ${profile.summary}`);
    if (missing.length < own.length)
      return fine(`profile-${name}`, `${tree} has the libraries of ${profile.summary}, but not ${missing.join(", ")}`);
    const text = `${tree} has nothing of ${profile.summary} (${own.join(", ")})`;
    const isElsewhere = own.some((soname) => runtime.find(soname, undefined));
    if (!asked.has(name) && !isElsewhere) return fine(`profile-${name}`, text);
    return (asked.has(name) ? hindrance : warning)(
      `profile-${name}`,
      isElsewhere ? `${text}: programs get the runtime's` : text,
      "install these libraries in the host tree, or name another by --host",
    );
  });
}

/** Libraries with the faults found in them and their dependencies. */
export interface Checked {
  readonly findings: readonly Finding[];
  /** The libraries found. */
  readonly libraries: readonly Library[];
}

/** `roots` are sonames and paths in the tree. `make` makes the finding if one cannot be opened. */
export function dependencyFindings(
  check: string,
  search: Search,
  roots: readonly string[],
  isElsewhere: (soname: string) => boolean,
  make: Complaint,
): Checked {
  const { roots: asked, nodes } = dependenciesOf(search, roots, isElsewhere);
  const needs = [
    ...asked.map((need) => ({ need, who: undefined })),
    ...nodes.flatMap(({ library, needs }) => needs.map((need) => ({ need, who: library }))),
  ];
  const seen = new Set<string>();
  const findings = needs.flatMap(({ need, who }) => {
    if (!("fault" in need) || seen.has(need.name)) return [];
    seen.add(need.name);
    if (need.fault instanceof ElfError)
      return make(check, need.fault.message, "the file is damaged: install its package anew in the host tree");
    const needer = who ? `"${who.path}" needs "${need.name}"` : `"${need.name}" is wanted`;
    const text = `${needer}, which ${search.tree.name} does not have`;
    return make(check, text, `install the package of ${need.name} in the host tree`);
  });
  return { findings, libraries: nodes.map(({ library }) => library) };
}
