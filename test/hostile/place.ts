// Directories of a test's own for temporary files and for what is kept, and the processes that know them.

import { lutimesSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { unlessGone } from "../../lib/process/stat.ts";
import { hostAndProgram, type Pair, pair, RUNTIME } from "../support/pair.ts";

/** A program that starts itself as a child; both call an isolated library. */
export const launched = (): Promise<Pair> =>
  pair("process/a-program-and-its-child-are-killed", [
    ...hostAndProgram(),
    { path: `${RUNTIME}/libhost.so.1`, sources: ["host.c"] },
  ]);

/** How long a server may go on after its last program, in milliseconds. */
const LIMIT_MS = 60_000;

export class Place implements Disposable {
  readonly #path = mkdtempSync(join(tmpdir(), "capsule-test-"));
  readonly temporary = this.#made("tmp");
  readonly env = { TMPDIR: this.temporary, HOME: this.#made("home"), XDG_CACHE_HOME: this.#made("cache") };

  #made(name: string): string {
    const path = join(this.#path, name);
    mkdirSync(path, { mode: 0o700 });
    return path;
  }

  /** Paths of all that there is among the temporary files. */
  get left(): string[] {
    return readdirSync(this.temporary, { recursive: true, encoding: "utf8" });
  }

  /** The servers whose directories are here. */
  get servers(): number[] {
    const isServer = (pid: string) =>
      unlessGone(() => readFileSync(`/proc/${pid}/cmdline`, "latin1"))?.includes(`\0${this.temporary}/`);
    return readdirSync("/proc")
      .filter((name) => /^\d+$/.test(name) && isServer(name))
      .map(Number);
  }

  /** Waits until no server is left. Throws if that takes too long. */
  async quiet(): Promise<void> {
    const late = performance.now() + LIMIT_MS;
    while (this.servers.length > 0) {
      if (performance.now() > late) throw new Error(`${LIMIT_MS} ms, and servers go on: ${this.servers.join(" ")}`);
      await Bun.sleep(20);
    }
  }

  /** Makes all temporary files two hours older. */
  age(): void {
    const then = new Date(Date.now() - 2 * 3600_000);
    for (const path of [...this.left, "."]) lutimesSync(join(this.temporary, path), then, then);
  }

  [Symbol.dispose](): void {
    rmSync(this.#path, { recursive: true, force: true });
  }
}
