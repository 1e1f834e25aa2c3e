// Writes the file that from-cache.ts reads.

import { lstatSync, mkdirSync, readFileSync } from "node:fs";
import { dirname } from "node:path";
import { unlessRefused } from "../../lib/unless.ts";
import { writeWhole } from "../../lib/whole-file.ts";
import { identityOf, ownKey, parsed, type ReexecCache, reexecCacheIn, VERSION } from "./from-cache.ts";
import type { Through } from "./reexec.ts";

/** Beyond this number, the oldest entries are dropped. */
const LIMIT = 50;

/**
 * `store` is a file in the user's cache, and the entry is kept beside it; if it cannot be written, the next run plans
 * again. `settings` are the settings files that it depends on, also those that do not exist yet.
 */
export function toReexecCache(store: string | undefined, through: Through, settings: readonly string[]): void {
  const file = reexecCacheIn(store && dirname(store));
  if (file === undefined) return;
  const key = ownKey();
  const isFile = unlessRefused(() => lstatSync(file).isFile()) ?? false;
  const known = isFile ? parsed(unlessRefused(() => readFileSync(file))) : undefined;
  const entries = Object.entries(known?.entries ?? {}).filter(([other]) => other !== key);
  entries.push([key, { through, settings, identity: identityOf(through, settings) }]);
  const content: ReexecCache = { version: VERSION, entries: Object.fromEntries(entries.slice(-LIMIT)) };
  unlessRefused(() => {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    writeWhole(file, JSON.stringify(content));
  });
}
