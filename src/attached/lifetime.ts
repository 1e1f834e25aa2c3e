// Which processes may send requests: those that are known, starting with the one that became the program, and when none
// of them is alive, any other that has inherited the library path. A daemon that has never sent one may do so later.

import { closeSync, readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { dirname } from "node:path";
import type { System } from "../../lib/process/system.ts";
import type { Watcher } from "../../lib/process/watcher.ts";
import { unlessRefused } from "../../lib/unless.ts";
import { isOfLaunch } from "../handover/program-environment.ts";

const LOADER = /\/ld[-.][^/]*$/;

/** How often to scan again because processes have come and gone meanwhile. */
const MOST_SCANS = 5;

export class Lifetime {
  /** pid → pidfd. */
  readonly #watched = new Map<number, number>();

  readonly #ownFile = fileOf(process.pid);

  /** How many had ended at the last check. */
  #count = 0;

  /** `libraries` is what only processes of this launch have on their library path. */
  constructor(
    readonly system: System,
    readonly watcher: Watcher,
    readonly libraries: string,
  ) {}

  get isOver(): boolean {
    return this.#watched.size === 0;
  }

  /** Watches the process that the descriptor refers to. */
  watchBy(pid: number, descriptor: number): void {
    this.#watched.set(pid, descriptor);
    this.watcher.add(descriptor);
  }

  /** Returns false for a process that has ended. */
  watch(pid: number): boolean {
    if (this.#watched.has(pid)) return true;
    const descriptor = this.system.openProcess(pid);
    if (descriptor === undefined) return false;
    this.watchBy(pid, descriptor);
    return true;
  }

  /** Whether a process has ended that is not forgotten yet. Also true if someone has connected to the door. */
  get hasEnded(): boolean {
    return this.watcher.count !== this.#count;
  }

  /** Forgets those that have ended, and returns their numbers. */
  forgetEnded(): number[] {
    if (!this.hasEnded) return [];
    this.#count = this.watcher.count;
    const descriptors = this.system.readable([...this.#watched.values()]);
    const ended = [...this.#watched].filter(([, descriptor]) => descriptors.includes(descriptor)).map(([pid]) => pid);
    for (const pid of ended) {
      closeSync(this.#watched.get(pid) ?? -1);
      this.#watched.delete(pid);
    }
    return ended;
  }

  /** Looks once for other possible clients, and watches them. */
  findOthers(): void {
    for (let attempt = 0, isSure = false; attempt < MOST_SCANS && !isSure; attempt++) {
      isSure = true;
      for (const name of readdirSync("/proc")) {
        const pid = Number(name);
        // Those of other users cannot be served: the launch's directory is closed to them.
        if (!(pid > 0) || pid === process.pid || !isOwn(pid)) continue;
        // In this order: a forked process may exec, and have the path, in between.
        const isForked = this.#isForked(pid);
        const hasPath = this.#hasPath(pid);
        if (isForked || hasPath) this.watch(pid);
        // It may have left a child behind that was not listed.
        else if (hasPath === undefined) isSure = false;
      }
    }
  }

  /** Whether a program in-process forked it. Then its environment shows nothing, but it will pass on the path. */
  #isForked(pid: number): boolean {
    // To the kernel a program in-process is Bun, or the ld.so that Bun was started by.
    const file = fileOf(pid);
    if (file === undefined || (file !== this.#ownFile && !LOADER.test(file))) return false;
    const maps = unlessRefused(() => readFileSync(`/proc/${pid}/maps`, "utf8"));
    return maps?.includes(` ${dirname(this.libraries)}/`) ?? false;
  }

  /** Undefined if it has ended meanwhile. */
  #hasPath(pid: number): boolean | undefined {
    try {
      const environment = readFileSync(`/proc/${pid}/environ`, "utf8");
      // None is visible in the middle of an exec; kernel threads, which have no file, never have one.
      if (environment === "") return fileOf(pid) === undefined ? false : undefined;
      return isOfLaunch(environment, this.libraries);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === undefined) throw error;
      // It may have closed itself to its own user (EACCES, EPERM), or have become another user's.
      return code === "ENOENT" || code === "ESRCH" ? undefined : false;
    }
  }
}

const isOwn = (pid: number): boolean =>
  unlessRefused(() => statSync(`/proc/${pid}`).uid === process.geteuid?.()) ?? false;

/** Undefined for a kernel thread, and if it cannot be seen. */
const fileOf = (pid: number): string | undefined => unlessRefused(() => readlinkSync(`/proc/${pid}/exe`));
