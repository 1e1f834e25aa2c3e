// Directories of links and of small objects that are the same for all runs, kept under
// a name that says what is in them: made once, whole, and never changed.

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

/** What is in one: links, name → where it leads, and files. */
interface Content {
  readonly links?: ReadonlyMap<string, string>;
  readonly files?: {
    readonly names: readonly string[];
    /** By name, for the path that the directory will have. */
    make(path: string): ReadonlyMap<string, Uint8Array>;
  };
}

/**
 * The path of a directory of that content, of which `key` says what it is besides its links. `store` is a file in the
 * user's cache, beside which it is made; without one, and where nothing can be loaded from there or others may write to
 * it, among the temporary files. Throws what writing throws.
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

/** In which directory they are; it has nothing else. Throws what making it throws. */
export const placeOfKept = (store: string | undefined, system: System): string =>
  placeInCache(store, system) ?? fallback();

/** The same in the user's cache; undefined where nothing can be kept there. */
export function placeInCache(store: string | undefined, system: System): string | undefined {
  const cache = store && join(dirname(store), "glibc");
  return cache && canBeOnPath(cache) ? usableCache(cache, system) : undefined;
}

/** Somebody may have tidied up in it. */
function isWhole(path: string, { links, files }: Content): boolean {
  if (!isThere(path)) return false;
  const there = new Set(unlessRefused(() => readdirSync(path)));
  return [...(links?.keys() ?? []), ...(files?.names ?? [])].every((name) => there.has(name));
}

/** On the disk before it is there by its name: nobody will look again whether it is whole. */
function write(path: string, bytes: Uint8Array): void {
  const descriptor = openSync(path, "wx", 0o600);
  try {
    writeFileSync(descriptor, bytes);
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/** Another number whenever what is in one changes and its key does not say so. */
const FORMAT = 1;

const DAY = 24 * 60 * 60 * 1000;
/** Unused for so long, one is removed; in milliseconds. */
const KEPT_FOR = 90 * DAY;

/** Removes what nobody will use any more. */
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
    // Somebody else was faster, or it was not whole: what is mapped of it stays.
    const old = `${from}-old`;
    unlessRefused(() => renameSync(to, old));
    renameSync(from, to);
    rmSync(old, { recursive: true, force: true });
  }
}

/**
 * A directory in the user's cache, made where it is missing; undefined, with the reason told, where what is loaded from
 * there might be somebody else's, or nothing can be loaded from.
 */
export function usableCache(
  directory: string,
  system: System,
  refuse: (reason: string) => void = () => {},
): string | undefined {
  const look = (): string | undefined => {
    if (!isThere(directory)) mkdirSync(directory, { recursive: true, mode: 0o700 });
    // Bun's realpath asks /proc/self/fd, where the descriptors of an in-process program's server thread are not.
    const real = new Tree("/", true).resolve(directory) ?? directory;
    if (!isTrusted(real, (path) => lstatSync(path, { throwIfNoEntry: false }))) refuse(", as others may write to it");
    else if (system.isNoexec(real)) refuse(", as its file system is mounted noexec");
    else return real;
    return undefined;
  };
  return unlessRefused(look, ({ message }) => refuse(`: ${message}`));
}

/** Among the temporary files. Throws what making it throws, and LinkError where no library path could lead there. */
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
