// By which names files were opened in a namespace: their sonames, and the names that led
// to them. Some may have been closed since, which the loader knows.

import type { Closure } from "./closure.ts";

export class Names {
  readonly #files = new Map<string, Set<string>>();

  add(name: string, path: string): void {
    const files = this.#files.get(name);
    if (files) files.add(path);
    else this.#files.set(name, new Set([path]));
  }

  /** What is opened with a closure. */
  addAll({ members }: Closure): void {
    for (const { library, name, names } of members) {
      if (library.hasSoname) this.add(library.soname, library.path);
      for (const one of [name, ...names]) if (!one.includes("/")) this.add(one, library.path);
    }
  }

  /** In the order in which they were opened first. */
  of(name: string): readonly string[] {
    return [...(this.#files.get(name) ?? [])];
  }

  /** Each name, and each file that it has led to. */
  get entries(): [name: string, path: string][] {
    return [...this.#files].flatMap(([name, files]) => [...files].map((path): [string, string] => [name, path]));
  }

  /** Has it led to another file? */
  hasOther(name: string, path: string): boolean {
    const files = this.#files.get(name);
    return files !== undefined && [...files].some((file) => file !== path);
  }
}
