// The names by which files were opened in a namespace: their sonames, and the names that resolved to them. Some may
// have been closed since, which only the loader knows.

import type { Closure } from "./closure.ts";

export class Names {
  readonly #files = new Map<string, Set<string>>();

  add(name: string, path: string): void {
    this.#files.getOrInsertComputed(name, () => new Set()).add(path);
  }

  /** Adds the names of a closure that is opened. */
  addAll({ members }: Closure): void {
    for (const { library, name, names } of members) {
      if (library.hasSoname) this.add(library.soname, library.path);
      for (const one of [name, ...names]) if (!one.includes("/")) this.add(one, library.path);
    }
  }

  /** In order of first opening. */
  of(name: string): readonly string[] {
    return [...(this.#files.get(name) ?? [])];
  }

  /** Each name with each file that it resolved to. */
  get entries(): [name: string, path: string][] {
    return [...this.#files].flatMap(([name, files]) => [...files].map((path): [string, string] => [name, path]));
  }

  /** Has the name resolved to another file? */
  hasOther(name: string, path: string): boolean {
    return this.of(name).some((file) => file !== path);
  }
}
