// Whose copy of a library a capsule uses: the host's, or one shared with the program. The shared set is always shared.
// Some libraries whose objects cross the border, and whose newer releases do all that older ones did (Wayland's), are
// shared if the runtime's copy is newer: the program's libraries would miss functions in the host's copy, and two
// copies would not know each other's objects.

import { openImage } from "../../lib/elf/file.ts";
import { isExported } from "../../lib/elf/sym.ts";
import { isPlugIn, NSS_MODULE } from "../../lib/tree/glibc-names.ts";
import type { Search } from "../../lib/tree/search.ts";
import { isShared } from "../profiles/shared-set.ts";

export class Ownership {
  readonly #found = new Map<string, boolean>();

  constructor(
    readonly host: Search,
    readonly runtime: Search,
    /** Sonames that are shared if the runtime's copy is newer. */
    readonly newest: readonly string[],
    /** Sonames that the user takes from another host tree: that one copy serves this capsule, too. */
    readonly others: ReadonlySet<string> = new Set(),
  ) {}

  /** Does the capsule use a shared copy of this library, rather than load its own? The answer is cached. */
  isShared(soname: string): boolean {
    if (isShared(soname) || this.others.has(soname)) return true;
    const isModule = NSS_MODULE.test(soname);
    if (!isModule && !this.newest.includes(soname)) return false;
    let found = this.#found.get(soname);
    if (found === undefined) {
      found = isModule ? this.#isGlibcs(soname) : this.#isRuntimesNewer(soname);
      this.#found.set(soname, found);
    }
    return found;
  }

  /** Some releases of glibc include modules for NIS. */
  #isGlibcs(soname: string): boolean {
    const found = this.host.find(soname, undefined);
    return found !== undefined && isPlugIn(found.library);
  }

  /** Does the runtime's copy define a symbol that the host's lacks? */
  #isRuntimesNewer(soname: string): boolean {
    const theirs = this.host.find(soname, undefined);
    const ours = this.runtime.find(soname, undefined);
    if (!theirs || !ours || theirs.path === ours.path) return false;
    return this.host.store.compare(theirs.path, ours.path, () => definesMore(ours.path, theirs.path));
  }
}

function definesMore(path: string, other: string): boolean {
  using one = openImage(path);
  using another = openImage(other);
  for (const sym of one.symbols)
    if (isExported(sym) && another.find(one.symbols.nameOf(sym)) === undefined) return true;
  return false;
}
