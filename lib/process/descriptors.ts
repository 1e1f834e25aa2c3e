// This process's descriptors, and its limit of them.

import { openSync, readdirSync } from "node:fs";
import { addressOf } from "../memory/live.ts";
import type { System } from "./system.ts";

const [CLONE_FILES, RLIMIT_NOFILE, TCGETS] = [0x400, 7, 0x5401] as const;

export class Descriptors {
  constructor(readonly system: System) {}

  /** The descriptor need not be open. */
  close(descriptor: number): void {
    this.system.call("close", descriptor);
  }

  /** Replaces a descriptor by a copy of another. */
  replace(descriptor: number, by: number): void {
    this.system.call("dup2", by, descriptor);
  }

  /**
   * Gives the calling thread its own descriptor table. 0 and 1 are /dev/null, 2 is the process's standard error or
   * /dev/null; no other descriptor is open. Returns false if the kernel refuses.
   */
  separate(keepsError: boolean): boolean {
    if (this.system.call("unshare", CLONE_FILES) !== 0) return false;
    const nothing = openSync("/dev/null", "r+");
    for (const descriptor of keepsError ? [0, 1] : [0, 1, 2]) this.replace(descriptor, nothing);
    const [FIRST, LAST] = [3, 0xffff_ffff];
    // Since Linux 5.9.
    if (this.system.call("close_range", FIRST, LAST, 0) === 0) return true;
    for (const name of readdirSync("/proc/thread-self/fd")) if (Number(name) >= FIRST) this.close(Number(name));
    return true;
  }

  /** Not node:tty, which takes 7 ms to load (Bun 1.4.5). */
  isTerminal(descriptor: number): boolean {
    const settings = new Uint8Array(64); // struct termios
    return this.system.call("ioctl", descriptor, TCGETS, addressOf(settings)) === 0;
  }

  /** Lowers the soft limit of open files to the parent process's if the hard limits are equal. Returns the new one. */
  lowerLimit(): number | undefined {
    const [own, parents] = [new BigUint64Array(2), new BigUint64Array(2)]; // struct rlimit: soft, hard
    const read = (pid: number, limits: BigUint64Array) =>
      this.system.call("prlimit64", pid, RLIMIT_NOFILE, 0, addressOf(limits));
    if (read(0, own) !== 0 || read(process.ppid, parents) !== 0) return undefined;
    const [soft = 0n, hard] = parents;
    if (hard !== own[1] || soft >= (own[0] ?? 0n)) return undefined;
    this.system.call("prlimit64", 0, RLIMIT_NOFILE, addressOf(parents));
    return Number(soft);
  }
}
