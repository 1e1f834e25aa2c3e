// A library that was given a tree, or named alone, brings the rest of its family along: glvnd's libGL of one release
// does not work with another's libGLdispatch, and one libX11 cannot draw on a display that another has opened.

import { realpathSync } from "node:fs";
import { resolve } from "node:path";
import { unlessRefused } from "../../lib/unless.ts";
import { UsageError } from "../diagnostics/errors.ts";
import { FAMILIES, type Family } from "../profiles/profiles.ts";
import { asSays, type Setting } from "./source.ts";
import type { LibraryChoice } from "./tree-options.ts";

/** What the user has set for single libraries. */
interface Wishes {
  /** The tree of all libraries that have none of their own. */
  readonly host: Setting<string>;
  /** The tree of one library; `host` itself if none was set for it. */
  hostOf(soname: string): Setting<string>;
  /** Has the user asked for this library, rather than a built-in profile? */
  isNamed(soname: string): boolean;
}

/**
 * Adds to `libraries` the families of those that the user has named or given a tree, and has each family come from one
 * tree. Throws UsageError if the user has given two of a family different trees.
 */
export function joinFamilies(libraries: Map<string, LibraryChoice>, wishes: Wishes): void {
  // A family that brings others comes before them.
  for (const family of Object.values(FAMILIES)) joinFamily(family, libraries, wishes);
}

function joinFamily(family: Family, libraries: Map<string, LibraryChoice>, wishes: Wishes): void {
  const { host, hostOf, isNamed } = wishes;
  const there = family.libraries.filter((soname) => libraries.has(soname));
  const hasTree = (soname: string) => hostOf(soname) !== host;
  const first = there.find(hasTree) ?? there.find(isNamed);
  const leader = first === undefined ? undefined : libraries.get(first);
  if (!leader) return;
  for (const soname of family.libraries.filter(hasTree)) refuseOther(family, leader, soname, hostOf(soname));
  const follow = (soname: string) => {
    const before = libraries.get(soname);
    // A library with the same tree anyway needs no leader.
    if (soname === leader.soname || (before && leader.host === host)) return;
    const follows = { soname: leader.soname, otherwise: before && host };
    libraries.set(soname, { ...BY_ANOTHER, source: leader.source, ...before, soname, host: leader.host, follows });
  };
  const join = (soname: string) => {
    if (!hasTree(soname)) follow(soname);
    else if (!libraries.has(soname))
      libraries.set(soname, { ...BY_ANOTHER, soname, host: hostOf(soname), source: leader.source });
  };
  family.libraries.forEach(join);
  for (const name of family.brings) {
    const brought = FAMILIES[name]?.libraries ?? [];
    // If one of them is there, or has its own tree, the family follows that.
    const isThere = brought.some((soname) => libraries.has(soname));
    if (!isThere) (brought.some(hasTree) ? brought.filter(hasTree) : brought).forEach(join);
  }
}

const BY_ANOTHER = { isExplicit: false, profiles: [] };

function refuseOther({ libraries }: Family, leader: LibraryChoice, soname: string, host: Setting<string>): void {
  if (realPath(leader.host.value) === realPath(host.value)) return;
  const from = (name: string, { value, source }: Setting<string>) => `"${name}" from "${value}"${asSays(source)}`;
  throw new UsageError(
    `Cannot take ${from(leader.soname, leader.host)}, and ${from(soname, host)}: ${libraries.join(", ")} belong together and come from one tree; name it for one of them, and the others follow`,
  );
}

const realPath = (directory: string): string => unlessRefused(() => realpathSync(directory)) ?? resolve(directory);
