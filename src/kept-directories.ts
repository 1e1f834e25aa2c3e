// Directories of links and of small objects that are the same for all runs, kept under
// a name that says what is in them: made once, whole, and never changed.

import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import type { System } from "../lib/process/system.ts";
import { unlessRefused } from "../lib/system-error.ts";
import { hint, isOurs, isThere, privateParent } from "./private-directory.ts";

/** What is in one: links, name → where it leads, and files. */
export interface Content {
  readonly links: ReadonlyMap<string, string>;
  /** By name, for the path that it will have. */
  readonly files?: (path: string) => ReadonlyMap<string, Uint8Array>;
}

/**
 * The path of a directory of that content, of which `key` says what it is besides its links. `store` is a file in the user's cache, beside
 * which it is made; without one, and where nothing can be loaded from there or others may write to it, among the temporary files. Throws
 * what writing throws.
 */
export function keptDirectory(key: string, content: Content, store: string | undefined, system: System): string {
  const name = `kept-${Bun.hash(JSON.stringify([FORMAT, key, ...content.links])).toString(36)}`;
  const place = (store && usable(join(dirname(store), "glibc"), system)) ?? fallback();
  const path = join(place, name);
  const known = lstatSync(path, { throwIfNoEntry: false });
  if (known) {
    const now = Date.now();
    if (now - known.mtimeMs > DAY) unlessRefused(() => utimesSync(path, now / 1000, now / 1000));
    return path;
  }
  try {
    tidy(place);
    const fresh = mkdtempSync(join(place, `.${name}-`));
    for (const [link, target] of content.links) symlinkSync(target, join(fresh, link));
    for (const [file, bytes] of content.files?.(path) ?? []) writeFileSync(join(fresh, file), bytes, { mode: 0o600 });
    rename(fresh, path);
    return path;
  } catch (error) {
    throw hint(error, place);
  }
}

/** Another number whenever what is in one changes and its key does not say so. */
const FORMAT = 1;

const DAY = 24 * 60 * 60 * 1000;
/** Unused for so long, one is removed; in milliseconds. */
const KEPT_FOR = 30 * DAY;

/** Removes what nobody will use any more. */
function tidy(place: string): void {
  for (const name of readdirSync(place)) {
    const path = join(place, name);
    if (!/^\.?kept-/.test(name)) continue;
    unlessRefused(() => {
      const age = Date.now() - lstatSync(path).mtimeMs;
      if (age > (name.startsWith(".") ? DAY : KEPT_FOR)) rmSync(path, { recursive: true, force: true });
    });
  }
}

function rename(from: string, to: string): void {
  try {
    renameSync(from, to);
  } catch (error) {
    // Somebody else was faster.
    if (!isThere(to)) throw error;
    rmSync(from, { recursive: true });
  }
}

function usable(directory: string, system: System): string | undefined {
  if (!CAN_BE_ON_PATH.test(directory)) return undefined;
  return unlessRefused(() => {
    if (!isThere(directory)) mkdirSync(directory, { recursive: true, mode: 0o700 });
    return isOurs(lstatSync(directory)) && !system.isNoexec(directory) ? directory : undefined;
  });
}

/** No colon, semicolon or dollar sign: nothing can be quoted on a library path. */
const CAN_BE_ON_PATH = /^[^:;$]*$/;

function fallback(): string {
  const parent = resolve(tmpdir());
  try {
    return privateParent(parent);
  } catch (error) {
    throw hint(error, parent);
  }
}
