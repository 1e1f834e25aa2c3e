// Everything that some libraries need, with all that is needed for it, in reverse
// dependency order: who comes later may need who comes earlier, so that a loader
// that is given them one by one never has to search.

import type { Library } from "../elf/library.ts";
import { mustFind, type Requester, type Search } from "./search.ts";

/** A library of a closure: where it stands in it and how it came there. */
export interface Member {
  readonly library: Library;
  /** The name by which it was asked for first. */
  readonly name: string;
  readonly why: string;
  readonly requester: Requester | undefined;
}

export interface Closure {
  /** Dependencies first; of libraries that need each other, who was asked for last. */
  readonly members: readonly Member[];
  /** The same, as a loader that is given the roots comes to them: breadth first. */
  readonly inLoadOrder: readonly Member[];
  /** The names that `isElsewhere` kept out, each with the libraries that need it. */
  readonly elsewhere: ReadonlyMap<string, readonly Library[]>;
  /** Other names under which some of those were asked for, each with the soname that the file has. */
  readonly aliases: ReadonlyMap<string, string>;
}

/**
 * `roots` are sonames or paths. What `isElsewhere` says of a soname is not looked for, nor what a file needs that turns out to
 * have such a soname. Throws LinkError, with who needs it and
 * where we looked, for a library that is missing, and ElfError for one that is unsound.
 */
export function closureOf(
  search: Search,
  roots: readonly string[],
  isElsewhere: (soname: string) => boolean,
  requester?: Requester,
): Closure {
  const members: Member[] = [];
  const elsewhere = new Map<string, Library[]>();
  const aliases = new Map<string, string>();
  const byPath = new Map<string, Member>();
  const byName = new Map<string, Member>();

  const keepOut = (soname: string, needer: Library): void => {
    const needers = elsewhere.get(soname);
    if (needers) needers.push(needer);
    else elsewhere.set(soname, [needer]);
  };
  const visit = (name: string, from: Requester | undefined): void => {
    const { library, why } = mustFind(search, name, from);
    if (from && !name.includes("/") && name !== library.soname && isElsewhere(library.soname)) {
      aliases.set(name, library.soname);
      keepOut(library.soname, from.library);
      return;
    }
    // As in ld.so, a name is looked for once: the first requester's search path decides for all.
    const known = byName.get(library.soname) ?? byPath.get(library.path);
    if (known) {
      byName.set(name, known);
      return;
    }
    const member = { library, name, why, requester: from };
    byPath.set(library.path, member);
    byName.set(name, member);
    byName.set(library.soname, member);
    const self: Requester = { library, loader: from };
    for (const needed of library.needed) {
      if (isElsewhere(needed)) keepOut(needed, library);
      else if (!byName.has(needed)) visit(needed, self);
    }
    members.push(member);
  };
  for (const root of roots) if (!byName.has(root)) visit(root, requester);
  const memberOf = (name: string) => byName.get(name) ?? [];
  const inLoadOrder = new Set(roots.flatMap(memberOf));
  for (const { library } of inLoadOrder) for (const member of library.needed.flatMap(memberOf)) inLoadOrder.add(member);
  return { members, inLoadOrder: [...inLoadOrder], elsewhere, aliases };
}
