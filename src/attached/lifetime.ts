// Who may ask: the processes that are known, the one that turned into the program
// first, and when none of them lives, whoever else has got the library path from
// them. A daemon that has never asked may do so later.

import { closeSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { dirname } from "node:path";
import type { System } from "../../lib/process/system.ts";
import type { Watcher } from "../../lib/process/watcher.ts";
import { unlessRefused } from "../../lib/system-error.ts";
import { isOfLaunch } from "../handover/program-environment.ts";

const LOADER = /\/ld[-.][^/]*$/;

/** How often to look again because processes have come and gone meanwhile. */
const MOST_SCANS = 5;

export class Lifetime {
  /** A descriptor of each process, by its number. */
  readonly #watched = new Map<number, number>();

  readonly #ownFile = fileOf(process.pid);

  /** How many were known to have ended when it was looked at them. */
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

  /** The process of which this descriptor is. */
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

  /** Has one of them ended that is not forgotten yet? Also where somebody has come to the door. */
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

  /** Looks once for others that may ask, and watches them. */
  findOthers(): void {
    for (let attempt = 0, isSure = false; attempt < MOST_SCANS && !isSure; attempt++) {
      isSure = true;
      for (const name of readdirSync("/proc")) {
        const pid = Number(name);
        if (!(pid > 0) || pid === process.pid) continue;
        // In this order: what was forked may turn into what has the path meanwhile.
        const isForked = this.#isForked(pid);
        const hasPath = this.#hasPath(pid);
        if (isForked || hasPath) this.watch(pid);
        // It may have left a child behind that was not listed.
        else if (hasPath === undefined) isSure = false;
      }
    }
  }

  /** Has a program in-process forked it? Then it says nothing in its environment, but will pass on the path. */
  #isForked(pid: number): boolean {
    // For the kernel a program in-process is Bun, or the ld.so that this was started by.
    const file = fileOf(pid);
    if (file === undefined || (file !== this.#ownFile && !LOADER.test(file))) return false;
    const maps = unlessRefused(() => readFileSync(`/proc/${pid}/maps`, "utf8"));
    return maps?.includes(` ${dirname(this.libraries)}/`) ?? false;
  }

  /** Undefined for one that has ended meanwhile. */
  #hasPath(pid: number): boolean | undefined {
    try {
      const environment = readFileSync(`/proc/${pid}/environ`, "utf8");
      // It has none that can be seen in the middle of an exec; kernel threads, which have no file, never have one.
      if (environment === "") return fileOf(pid) === undefined ? false : undefined;
      return isOfLaunch(environment, this.libraries);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === undefined) throw error;
      // Somebody else's (EACCES, EPERM) cannot be served either.
      return code === "ENOENT" || code === "ESRCH" ? undefined : false;
    }
  }
}

/** Undefined for a kernel thread, and for what cannot be seen. */
const fileOf = (pid: number): string | undefined => unlessRefused(() => readlinkSync(`/proc/${pid}/exe`));
