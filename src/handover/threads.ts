// Which threads of the process are the program's: those that Bun has not made. Bun's
// own come and go; those that have appeared since are told by their names.

import { readdirSync, readFileSync } from "node:fs";
import { unlessGone } from "../../lib/process/stat.ts";

/** As JavaScriptCore, mimalloc and Bun call theirs (Bun 1.4.5). */
const NAMES = /^(?:HeapHelper|JITWorker|JSCWarmUp|mi-scavenger|Bun Pool \d+)$/m;

export class BunThreads {
  /** To be made before the program has any. */
  readonly #ids = new Set(threads());

  /** Has the program a thread besides the main one and that one? */
  hasOthers(client: number): boolean {
    return threads().some((id) => id !== String(client) && !this.#ids.has(id) && !isBuns(id));
  }
}

const threads = (): string[] => readdirSync("/proc/self/task");

/** By its name. Also true for one that has ended meanwhile. */
export function isBuns(id: string | number): boolean {
  return unlessGone(() => NAMES.test(readFileSync(`/proc/self/task/${id}/comm`, "utf8"))) ?? true;
}
