// Which threads of the process are the program's: those not made by Bun. Bun's own come and go; newer ones are
// recognized by name.

import { readdirSync, readFileSync } from "node:fs";
import { unlessGone } from "../../lib/process/stat.ts";

/** Names of JavaScriptCore's, mimalloc's and Bun's threads (Bun 1.4.5). */
const NAMES = /^(?:HeapHelper|JITWorker|JSCWarmUp|mi-scavenger|Bun Pool \d+)$/m;

export class BunThreads {
  /** The threads before the program has any. */
  readonly #ids = new Set(threads());

  /** Has the program a thread besides the main one and `client`? */
  hasOthers(client: number): boolean {
    return threads().some((id) => id !== String(client) && !this.#ids.has(id) && !isBuns(id));
  }
}

const threads = (): string[] => readdirSync("/proc/self/task");

/** By its name. Also true for a thread that has ended meanwhile. */
export function isBuns(id: string | number): boolean {
  return unlessGone(() => NAMES.test(readFileSync(`/proc/self/task/${id}/comm`, "utf8"))) ?? true;
}
