// Which threads of the process are the program's: those that Bun has not made. Bun's
// own come and go, so those that have appeared since are told by their names.

import { readdirSync, readFileSync } from "node:fs";

export class BunThreads {
  readonly #ids: ReadonlySet<string>;
  readonly #names: ReadonlySet<string>;

  /** To be made before the program has any; `own` is the calling thread, whose name a program may use, too. */
  constructor(own: number) {
    const ids = threads();
    this.#ids = new Set(ids);
    this.#names = new Set(ids.filter((id) => id !== String(process.pid) && id !== String(own)).map(nameOf));
  }

  /** Has the program a thread besides the main one and that one? */
  hasOthers(asker: number): boolean {
    return threads().some((id) => id !== String(asker) && !this.#ids.has(id) && !this.#names.has(nameOf(id)));
  }
}

const threads = (): string[] => readdirSync("/proc/self/task");

/** "" for one that has ended meanwhile. */
function nameOf(id: string): string {
  try {
    return readFileSync(`/proc/self/task/${id}/comm`, "utf8").trimEnd();
  } catch (error) {
    if (!["ENOENT", "ESRCH"].includes((error as NodeJS.ErrnoException).code ?? "")) throw error;
    return "";
  }
}
