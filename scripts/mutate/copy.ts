// A copy of the tree for mutants, and the sandbox in which their tests run.
//
// Mutated code may remove the wrong directory and kill the wrong process. So it sees the machine, and the copy too, as
// read-only, with a /tmp, kept objects and process ids of its own; what it leaves running ends with it.

import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cacheDirectory } from "../../test/support/cache.ts";
import type { Mutant } from "./mutations.ts";

export class Copy implements Disposable {
  readonly #directory = mkdtempSync(join(tmpdir(), "capsule-mutate-"));
  readonly root = join(this.#directory, "tree");

  constructor(root: string) {
    const left = ["node_modules", ".git", "dist"].map((name) => join(root, name));
    cpSync(root, this.root, { recursive: true, filter: (path) => !left.includes(path) });
    symlinkSync(join(root, "node_modules"), join(this.root, "node_modules"));
  }

  [Symbol.dispose](): void {
    rmSync(this.#directory, { recursive: true, force: true });
  }

  /** The file is the mutant while `work` runs. */
  async with<T>({ file, text, start, end, replacement }: Mutant, work: () => Promise<T>): Promise<T> {
    const path = join(this.root, file);
    writeFileSync(path, text.slice(0, start) + replacement + text.slice(end));
    try {
      return await work();
    } finally {
      writeFileSync(path, text);
    }
  }

  /** Runs test files in this order, up to the first failure. Whether they pass; undefined if they take too long. */
  async passes(tests: readonly string[], mode: string, limitMs: number): Promise<boolean | undefined> {
    const child = Bun.spawn([...this.#sandbox(), process.execPath, "test", "--bail", ...tests], {
      cwd: this.root,
      env: { ...process.env, CAPSULE_TEST_MODE: mode, CAPSULE_TEST_CACHE: cacheDirectory(), TMPDIR: "/tmp" },
      stdio: ["ignore", "ignore", "ignore"],
      timeout: limitMs,
      killSignal: "SIGKILL",
    });
    const exitCode = await child.exited;
    return child.signalCode === "SIGKILL" ? undefined : exitCode === 0;
  }

  #sandbox(): string[] {
    const cache = cacheDirectory();
    const kept = join(cache, "kept");
    mkdirSync(kept, { recursive: true });
    return [
      ...["bwrap", "--unshare-pid", "--die-with-parent", ...(process.getuid?.() === 0 ? ["--cap-add", "ALL"] : [])],
      ...["--ro-bind", "/", "/", "--dev-bind", "/dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp"],
      ...["--ro-bind-try", "/tmp/.X11-unix", "/tmp/.X11-unix", "--ro-bind", this.#directory, this.#directory],
      ...["--ro-bind", cache, cache, "--tmpfs", kept],
      // A mutant that takes all memory is the first that the kernel ends.
      ...["sh", "-c", 'echo 1000 > /proc/self/oom_score_adj; exec "$@"', "sh"],
    ];
  }
}
