// Where a launch ends of which nothing was linked: has a program run natively that should have had isolated libraries, or
// was none needed? No process opens the runtime's copies of these that is led to shims; and a program that needs one and is
// led there asks. So it is noted which of those copies are opened, and what is opened in the directories in which a start
// script and its game lie. By whom is not known, as inotify(7) does not say; so it is a hint.

import { readlinkSync } from "node:fs";
import { dirname, join } from "node:path";
import { ElfError } from "../../lib/elf/error.ts";
import type { System } from "../../lib/process/system.ts";
import { unlessRefused } from "../../lib/system-error.ts";
import type { Site } from "./site.ts";

export class NativeWatch {
  readonly #inotify: number;
  /** Sonames, and directories, each by its number. */
  readonly #copies = new Map<number, string>();
  readonly #directories = new Map<number, string>();
  readonly #isolated: ReadonlySet<string>;

  /** Throws SystemError where this user has too many already. */
  constructor(
    readonly system: System,
    readonly site: Site,
  ) {
    this.#inotify = system.makeInotify();
    this.#isolated = new Set(site.file.capsules.flatMap(({ isolated }) => isolated));
  }

  /** Begins to look, with what the program has around it first; a step each. */
  *begin(): Generator<undefined> {
    const { pid, program, libraryPath } = this.site.file;
    const directories = [dirname(program), unlessRefused(() => readlinkSync(`/proc/${pid}/cwd`))];
    for (const path of new Set(directories)) {
      const number = path === undefined ? undefined : this.system.watchOpening(this.#inotify, path);
      if (path !== undefined && number !== undefined) this.#directories.set(number, path);
    }
    const runtime = this.site.runtimeOf(libraryPath);
    for (const soname of this.#isolated) {
      yield;
      const path = runtime.find(soname, undefined)?.path;
      const number = path === undefined ? undefined : this.system.watchOpening(this.#inotify, path);
      if (number !== undefined) this.#copies.set(number, soname);
    }
  }

  /** The path of a program, or the soname of a library, that was opened; undefined where there was none. */
  get found(): string | undefined {
    const seen = new Set<string>();
    for (const { number, name } of this.system.openedIn(this.#inotify)) {
      const soname = this.#copies.get(number);
      if (soname !== undefined) return soname;
      const directory = this.#directories.get(number);
      if (directory === undefined || name === "" || seen.has(name)) continue;
      seen.add(name);
      const path = join(directory, name);
      if (this.#needsIsolated(path)) return path;
    }
    return undefined;
  }

  #needsIsolated(path: string): boolean {
    return (
      unlessRefused(() => {
        try {
          return this.site.store.read(path).needed.some((soname) => this.#isolated.has(soname));
        } catch (error) {
          if (error instanceof ElfError) return false;
          throw error;
        }
      }) ?? false
    );
  }
}
