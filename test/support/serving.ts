// Attached programs: a directory for their serving directories, and waiting for what happens there.

import { mkdtempSync, readdirSync, readFileSync, rmSync, watch } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Milliseconds. */
const PATIENCE = 20_000;

/** A directory for TMPDIR. */
export class ServingPlace implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), "capsule-test-"));

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }

  get directories(): string[] {
    return readdirSync(this.path).map((name) => join(this.path, name));
  }

  /** The only one, and its server's process. */
  get serving(): { directory: string; server: number } {
    const [directory = ""] = this.directories;
    const [, pid] = readFileSync(join(directory, "owner"), "latin1").split(" ");
    return { directory, server: Number(pid) };
  }

  /** Waits until there is no serving directory. */
  emptied(): Promise<void> {
    return appears(this.path, () => this.directories.length === 0);
  }
}

/** Waits until something has changed in a directory. Throws if that takes too long. */
export async function appears(directory: string, isThere: () => boolean): Promise<void> {
  const changed = Promise.withResolvers<void>();
  const check = () => {
    if (isThere()) changed.resolve();
  };
  const watcher = watch(directory, check);
  const late = setTimeout(
    () => changed.reject(new Error(`${PATIENCE} ms, and ${directory} has ${readdirSync(directory).join(" ")}`)),
    PATIENCE,
  );
  try {
    check();
    await changed.promise;
  } finally {
    clearTimeout(late);
    watcher.close();
  }
}

/** Whether a process has not ended; a zombie has. */
export function isRunning(pid: number): boolean {
  try {
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, "latin1"));
  } catch (error) {
    if (["ENOENT", "ESRCH"].includes((error as NodeJS.ErrnoException).code ?? "")) return false;
    throw error;
  }
}
