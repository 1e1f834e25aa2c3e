// If a launch ends with nothing linked: has a program run natively that should have had isolated libraries, or was none
// needed? A process with shims on its library path does not open the runtime's copies of isolated libraries, and a
// program that needs one sends a request. So we record which of those copies are opened, and which programs in the
// directories of the first one. inotify(7) reports neither the process nor whether the file is run or only read. So in
// directories that the whole machine uses, or if the first program is the machine's (sha256sum, file), an opening
// counts only if a process of the launch has the file mapped, which it has a little later. A process that ends within a
// few milliseconds is missed there.

import { closeSync, readdirSync, readFileSync, readlinkSync, realpathSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { ElfError } from "../../lib/elf/error.ts";
import { readStat } from "../../lib/process/stat.ts";
import type { System } from "../../lib/process/system.ts";
import type { Watcher } from "../../lib/process/watcher.ts";
import { SystemFault, unless, unlessRefused } from "../../lib/unless.ts";
import type { AttachedContext } from "./server-context.ts";

/** Directories in which processes outside the launch open programs and libraries, too. */
const OF_THE_MACHINE = /^\/(?:$|(?:usr|bin|sbin|lib\w*|opt|nix|gnu)(?:\/|$))/;

/** When to check once more whether a file is mapped, in milliseconds since it was opened. */
const CHECK_AGAIN_MS = [2, 20, 200];

/** A file that was opened: its path, and what the user is told of it. */
interface Opened {
  readonly path: string;
  readonly shown: string;
}

/** What one inotify instance watches: watch number → copy of an isolated library, or directory. */
interface Watched {
  readonly inotify: number;
  readonly copies: Map<number, Opened>;
  readonly directories: Map<number, string>;
}

export class NativeWatch {
  /** Read when the launch ends. */
  readonly #own: Watched;
  /** Read at once, while the process that opened something still exists. */
  readonly #common: Watched;
  readonly #isolated: ReadonlySet<string>;
  /** By path, whether a program needs an isolated library. Looking opens it, which is an event again, so once each. */
  readonly #programs = new Map<string, boolean>();
  /** What was opened and is not mapped yet, by path, with how often that was checked. */
  readonly #unmapped = new Map<string, { readonly opened: Opened; readonly since: number; checks: number }>();
  #found: string | undefined;

  /**
   * `watcher` rings when something in common directories is opened. Throws SystemError if this user has too many
   * already.
   */
  constructor(
    readonly system: System,
    readonly context: AttachedContext,
    watcher: Watcher,
  ) {
    const watched = () => ({ inotify: system.makeInotify(), copies: new Map(), directories: new Map() });
    this.#own = watched();
    this.#common = watched();
    watcher.add(this.#common.inotify, "each time");
    this.#isolated = new Set(context.file.capsules.flatMap(({ isolated }) => isolated));
  }

  /** Starts watching, the program's surroundings first; one step each. */
  *begin(): Generator<undefined> {
    const { pid, program, libraryPath } = this.context.file;
    const directories = [dirname(program), unlessRefused(() => readlinkSync(`/proc/${pid}/cwd`))];
    for (const path of new Set(directories)) if (path !== undefined) this.#watch(path, path);
    const runtime = this.context.runtimeOf(libraryPath);
    for (const soname of this.#isolated) {
      yield;
      const path = runtime.find(soname, undefined)?.path;
      if (path !== undefined && !this.#isHosts(soname, path)) this.#watch(path, { path, shown: soname });
    }
  }

  /** `value` is a copy, or the path of a directory. */
  #watch(path: string, value: Opened | string): void {
    const isCommon = [path, this.context.file.program].some((one) => OF_THE_MACHINE.test(one));
    const watched = isCommon ? this.#common : this.#own;
    const number = this.system.watchOpening(watched.inotify, path);
    if (number === undefined) return;
    if (typeof value === "string") watched.directories.set(number, value);
    else watched.copies.set(number, value);
  }

  /** Whether the runtime's copy is the host tree's own file: then capsules open it, too. */
  #isHosts(soname: string, path: string): boolean {
    const idOf = (file: string | undefined) => {
      const status = file === undefined ? undefined : unlessRefused(() => statSync(file, { bigint: true }));
      return status && `${status.dev}:${status.ino}`;
    };
    return this.context.sources.some(({ search }) => idOf(search.find(soname, undefined)?.path) === idOf(path));
  }

  /**
   * Checks whether a process of the launch has opened something common. Call when the watcher has rung, and after
   * `patience`.
   */
  look(): void {
    if (this.#found !== undefined) return;
    const now = performance.now();
    for (const opened of this.#openedIn(this.#common))
      this.#unmapped.set(opened.path, { opened, since: now, checks: 0 });
    for (const [path, entry] of this.#unmapped) {
      if (entry.checks > 0 && now < entry.since + (CHECK_AGAIN_MS[entry.checks - 1] ?? 0)) continue;
      if (this.#isMapped(path)) this.#found ??= entry.opened.shown;
      if (++entry.checks > CHECK_AGAIN_MS.length) this.#unmapped.delete(path);
    }
  }

  /** How long until `look` should be called in any case, in milliseconds; undefined if it need not be. */
  get patience(): number | undefined {
    if (this.#found !== undefined || this.#unmapped.size === 0) return undefined;
    const due = [...this.#unmapped.values()].map(({ since, checks }) => since + (CHECK_AGAIN_MS[checks - 1] ?? 0));
    return Math.max(1, Math.min(...due) - performance.now());
  }

  end(): void {
    for (const { inotify } of [this.#own, this.#common]) closeSync(inotify);
  }

  /** The path of a program, or the soname of a library, that was opened; undefined if none was. */
  get found(): string | undefined {
    this.look();
    for (const { shown } of this.#openedIn(this.#own)) this.#found ??= shown;
    return this.#found;
  }

  /** Copies, and programs that need an isolated library, each once. */
  #openedIn({ inotify, copies, directories }: Watched): Iterable<Opened> {
    const found = new Map<string, Opened>();
    for (const { number, name } of this.system.openedIn(inotify)) {
      const copy = copies.get(number);
      if (copy) found.set(copy.path, copy);
      const directory = directories.get(number);
      if (directory === undefined || name === "") continue;
      const path = join(directory, name);
      if (this.#isProgram(path)) found.set(path, { path, shown: path });
    }
    return found.values();
  }

  #isProgram(path: string): boolean {
    const known = this.#programs.get(path) ?? this.#needsIsolated(path);
    this.#programs.set(path, known);
    return known;
  }

  /** Whether a descendant of the launch's first process has it mapped. */
  #isMapped(path: string): boolean {
    const parents = new Map<number, number>();
    for (const name of readdirSync("/proc"))
      if (Number(name) > 0)
        parents.set(Number(name), Number(unlessRefused(() => readStat(Number(name)).field(4)) ?? Number.NaN));
    const descends = (pid: number): boolean => {
      for (let at = pid, steps = 0; at > 1 && steps < parents.size; at = parents.get(at) ?? 0, steps++)
        if (at === this.context.file.pid) return true;
      return false;
    };
    const real = unlessRefused(() => realpathSync(path)) ?? path;
    return [...parents.keys()]
      .filter(descends)
      .some((pid) => unlessRefused(() => readFileSync(`/proc/${pid}/maps`, "utf8"))?.includes(` ${real}\n`));
  }

  #needsIsolated(path: string): boolean {
    const needed = unless([ElfError, SystemFault], () => this.context.store.read(path).needed) ?? [];
    return needed.some((soname) => this.#isolated.has(soname));
  }
}
