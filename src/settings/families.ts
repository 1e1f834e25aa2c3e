// Libraries of which one was given a tree, or named alone, bring the rest of their
// family along: glvnd's libGL of one release does not work with another's libGLdispatch,
// and a display that one libX11 has opened is nothing that another could draw on.

import { realpathSync } from "node:fs";
import { resolve } from "node:path";
import { unlessRefused } from "../../lib/system-error.ts";
import { UsageError } from "../diagnostics/errors.ts";
import { FAMILIES, type Family } from "../profiles/profiles.ts";
import { asSays, type Setting } from "./source.ts";
import type { LibraryChoice } from "./tree-options.ts";

/** What somebody has said of single libraries. */
interface Wishes {
  /** The tree of all libraries that have none of their own. */
  readonly host: Setting<string>;
  /** That of one library; `host` itself where nobody has said another. */
  hostOf(soname: string): Setting<string>;
  /** Is it there by a word of the user's about this library, and not by one of our profiles? */
  isNamed(soname: string): boolean;
}

/**
 * Adds to `libraries` what belongs to those that the user has named or given a tree, and has each family come from one
 * tree. Throws UsageError where the user has given two of a family to different trees.
 */
export function joinFamilies(libraries: Map<string, LibraryChoice>, wishes: Wishes): void {
  // Those that bring others along come before these.
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
    // What has the same tree anyway is there for its own reasons.
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
    // Those of one that is there, or has a tree of its own, go by that.
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
