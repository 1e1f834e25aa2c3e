// Writes the file that from-cache.ts reads.

import { dirname } from "node:path";
import { makeDirectories, readOwn, writeWhole } from "../../lib/own-files.ts";
import { sealed } from "../../lib/sealed.ts";
import { unlessRefused } from "../../lib/unless.ts";
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
  const known = parsed(readOwn(file));
  const entries = Object.entries(known?.entries ?? {}).filter(([other]) => other !== key);
  entries.push([key, { through, settings, identity: identityOf(through, settings) }]);
  const content: ReexecCache = { entries: Object.fromEntries(entries.slice(-LIMIT)) };
  unlessRefused(() => {
    makeDirectories(dirname(file));
    writeWhole(file, sealed(VERSION, content));
  });
}
