// What libraries need, each with the names by which it is needed. Hundreds of libraries need the same few, so what has
// been followed once is not followed again: as long as no search path of a library's own is involved, a name leads to
// the same file whoever asks for it.

import { basename } from "node:path";
import type { Library } from "../../lib/elf/library.ts";
import { LinkError } from "../../lib/link-error.ts";
import { dependenciesOfFile } from "../../lib/tree/dependencies.ts";
import { LOADER } from "../../lib/tree/glibc-names.ts";
import type { Found, Search } from "../../lib/tree/search.ts";

/** A library that another one needs. */
export interface Needed {
  readonly name: string;
  readonly path: string;
  /** The path in the tree by which it was found. */
  readonly foundAs: string;
  readonly why: string;
  /** The file that needs it. */
  readonly neededBy: string;
}

/** Something that is needed is not there. */
export class Missing extends LinkError {}

const isLoader = (soname: string): boolean => soname === LOADER;

export class Needs {
  /** Paths of libraries whose needs have been told, with all that these need. */
  readonly #told = new Set<string>();
  readonly #found = new Map<string, Found | undefined>();

  constructor(readonly search: Search) {}

  /**
   * Everything that a library needs, directly or not, in ld.so's order; without what was told before. `origin` is as in
   * Requester. Throws Missing, LinkError and ElfError.
   */
  ofMore(library: Library, origin: string | undefined): Needed[] {
    return this.#plainly(library) ?? this.of(library, origin);
  }

  /** The same, with what was told before. */
  of(library: Library, origin: string | undefined): Needed[] {
    const { tree } = this.search;
    return dependenciesOfFile(this.search, { library, origin }, isLoader).nodes.flatMap((needer) =>
      needer.needs.flatMap((need): Needed | [] => {
        if ("fault" in need) throw asMissing(need.fault);
        if (!("node" in need)) return [];
        const { node } = need;
        const [path, neededBy] = [node.library.path, needer.library.path];
        if (!tree.holds(path))
          throw new LinkError(
            `Cannot capture "${need.name}", which "${neededBy}" needs: "${path}" is outside "${tree.name}"`,
            { object: need.name },
          );
        const foundAs = tree.inside(`${node.origin}/${basename(node.name)}`);
        return { name: basename(need.name), path, foundAs, why: node.why, neededBy };
      }),
    );
  }

  /** Undefined if that is not as simple as it usually is. */
  #plainly(root: Library): Needed[] | undefined {
    const needed: Needed[] = [];
    const fresh = new Set([root.path]);
    const queue = [root];
    for (const library of queue) {
      if (this.#told.has(library.path)) continue;
      if (!isPlain(library)) return undefined;
      for (const name of library.needed) {
        if (isLoader(name)) continue;
        const found = this.#found.getOrInsertComputed(name, () => this.search.find(name, undefined));
        if (!found || name.includes("/") || !this.search.tree.holds(found.path)) return undefined;
        const other = found.library;
        if (!other.hasSoname || other.soname !== name || other.isFixed || other.isPie) return undefined;
        const foundAs = this.search.tree.inside(found.foundAs);
        needed.push({ name, path: found.path, foundAs, why: found.why, neededBy: library.path });
        if (fresh.has(found.path)) continue;
        fresh.add(found.path);
        queue.push(other);
      }
    }
    for (const path of fresh) this.#told.add(path);
    return needed;
  }
}

/** It leads to no other file than any library would. */
const isPlain = ({ rpath, runpath, filtees, avoidsDefaults }: Library): boolean =>
  rpath === undefined && runpath === undefined && filtees.length === 0 && !avoidsDefaults;

const asMissing = (fault: Error): Error =>
  fault instanceof LinkError ? new Missing(fault.message, fault.details) : fault;
