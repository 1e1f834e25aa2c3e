// Directories of links and small objects that are the same for all runs, under a name derived from their content: made
// once, atomically, and never changed.

import {
  closeSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { LinkError } from "../../lib/link-error.ts";
import type { System } from "../../lib/process/system.ts";
import { unlessRefused } from "../../lib/system-error.ts";
import { Tree } from "../../lib/tree/tree.ts";
import { canBeOnPath } from "../directories/library-path.ts";
import { hint, isThere, privateParent } from "../directories/private-directory.ts";
import { isTrusted } from "../directories/trusted.ts";

/** A directory's content: links, name → target, and files. */
interface Content {
  readonly links?: ReadonlyMap<string, string>;
  readonly files?: {
    readonly names: readonly string[];
    /** The files by name, for the directory's final path. */
    make(path: string): ReadonlyMap<string, Uint8Array>;
  };
}

/**
 * The path of a directory with that content; `key` identifies all of it but the links. `store` is a file in the user's
 * cache, and the directory is made beside it; without `store`, or if that place is noexec or writable for others, it is
 * made among the temporary files. Throws what writing throws.
 */
export function keptDirectory(key: string, content: Content, store: string | undefined, system: System): string {
  const name = `kept-${Bun.hash(JSON.stringify([FORMAT, key, ...(content.links ?? [])])).toString(36)}`;
  const place = placeOfKept(store, system);
  const path = join(place, name);
  if (isWhole(path, content)) {
    const now = Date.now();
    if (now - lstatSync(path).mtimeMs > DAY) unlessRefused(() => utimesSync(path, now / 1000, now / 1000));
    return path;
  }
  try {
    tidy(place);
    const fresh = mkdtempSync(join(place, `.${name}-`));
    for (const [link, target] of content.links ?? []) symlinkSync(target, join(fresh, link));
    for (const [file, bytes] of content.files?.make(path) ?? []) write(join(fresh, file), bytes);
    rename(fresh, path);
    return path;
  } catch (error) {
    throw hint(error, place);
  }
}

/** The directory that contains them and nothing else. Throws what making it throws. */
export const placeOfKept = (store: string | undefined, system: System): string =>
  placeInCache(store, system) ?? fallback();

/** The same in the user's cache; undefined if nothing can be kept there. */
export function placeInCache(store: string | undefined, system: System): string | undefined {
  const cache = store && join(dirname(store), "glibc");
  return cache && canBeOnPath(cache) ? usableCache(cache, system) : undefined;
}

/** Files may have been deleted from it. */
function isWhole(path: string, { links, files }: Content): boolean {
  if (!isThere(path)) return false;
  const there = new Set(unlessRefused(() => readdirSync(path)));
  return [...(links?.keys() ?? []), ...(files?.names ?? [])].every((name) => there.has(name));
}

/** Synced before the directory gets its final name: its files are not checked again. */
function write(path: string, bytes: Uint8Array): void {
  const descriptor = openSync(path, "wx", 0o600);
  try {
    writeFileSync(descriptor, bytes);
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/** To be changed whenever the content changes without its key. */
const FORMAT = 1;

const DAY = 24 * 60 * 60 * 1000;
/** A directory unused for this long is removed; in milliseconds. */
const KEPT_FOR = 90 * DAY;

/** Removes unused and unfinished directories. */
function tidy(place: string): void {
  for (const name of readdirSync(place)) {
    const path = join(place, name);
    if (!/^(kept-[0-9a-z]+|\.kept-[0-9a-z]+-\w{6})$/.test(name)) continue;
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
    if (!isThere(to)) throw error;
    // Another process was faster, or the old one was incomplete. What is mapped from it stays mapped.
    const old = `${from}-old`;
    unlessRefused(() => renameSync(to, old));
    renameSync(from, to);
    rmSync(old, { recursive: true, force: true });
  }
}

/**
 * A directory in the user's cache, made if it is missing. Undefined, after calling `refuse` with the reason, if others
 * might write what is loaded from there, or nothing can be loaded from it.
 */
export function usableCache(
  directory: string,
  system: System,
  refuse: (reason: string) => void = () => {},
): string | undefined {
  const look = (): string | undefined => {
    if (!isThere(directory)) mkdirSync(directory, { recursive: true, mode: 0o700 });
    // Bun's realpath reads /proc/self/fd, which lacks the descriptors of an in-process program's server thread.
    const real = new Tree("/", true).resolve(directory) ?? directory;
    if (!isTrusted(real, (path) => lstatSync(path, { throwIfNoEntry: false }))) refuse(", as others may write to it");
    else if (system.isNoexec(real)) refuse(", as its file system is mounted noexec");
    else return real;
    return undefined;
  };
  return unlessRefused(look, ({ message }) => refuse(`: ${message}`));
}

/** Among the temporary files. Throws what making it throws, and LinkError if a library path cannot contain its name. */
function fallback(): string {
  const parent = resolve(tmpdir());
  try {
    const place = join(privateParent(parent), "capsule-glibc");
    mkdirSync(place, { recursive: true, mode: 0o700 });
    if (canBeOnPath(place)) return place;
  } catch (error) {
    throw hint(error, parent);
  }
  throw new LinkError(
    `Cannot use "${parent}": a library path has no place for a name with a colon, a semicolon or a dollar sign (TMPDIR says which directory to use)`,
    { object: parent },
  );
}
