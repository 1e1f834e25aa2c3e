// Directories of links and small objects that are the same for all runs, under a name derived from their content: made
// once, atomically, and never changed.

import { lstatSync, readdirSync, readlinkSync, renameSync, rmSync, symlinkSync, utimesSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { LinkError } from "../../lib/link-error.ts";
import { isThere, makeDirectories, makeDirectory, makeFreshDirectory, writeWhole } from "../../lib/own-files.ts";
import { isOurs } from "../../lib/ownership.ts";
import type { System } from "../../lib/process/system.ts";
import { unlessRefused } from "../../lib/unless.ts";
import { canBeOnPath } from "../directories/library-path.ts";
import { hinting } from "../directories/private-directory.ts";
import { isSafe, privateParent, realPath } from "../directories/temporary-place.ts";

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
 * Where they are, looked up when the first is wanted: beside `store`, a file in the user's cache, or among the temporary
 * files, without `store` or if that place is noexec or writable for others.
 */
export class KeptDirectories {
  #inCache: { readonly place: string | undefined } | undefined;
  #place: string | undefined;

  constructor(
    readonly store: string | undefined,
    readonly system: System,
  ) {}

  /** The directory that contains them and nothing else. Throws what making it throws. */
  get place(): string {
    this.#place ??= this.placeInCache ?? fallback();
    return this.#place;
  }

  /** The same in the user's cache; undefined if nothing can be kept there. */
  get placeInCache(): string | undefined {
    const cache = this.store && join(dirname(this.store), "glibc");
    this.#inCache ??= { place: cache && canBeOnPath(cache) ? usableCache(cache, this.system) : undefined };
    return this.#inCache.place;
  }

  /** The path of one with that content; `key` identifies all of it but the links. Throws what writing throws. */
  with(key: string, content: Content): string {
    const { place } = this;
    try {
      return keptIn(place, key, content);
    } catch (error) {
      // The disk of the user's cache may be full, and that of temporary files another.
      if ((error as NodeJS.ErrnoException).code === undefined || place !== this.#inCache?.place) throw error;
      this.#inCache = { place: undefined };
      this.#place = fallback();
      return keptIn(this.#place, key, content);
    }
  }
}

function keptIn(place: string, key: string, content: Content): string {
  const name = `kept-${Bun.hash(JSON.stringify([FORMAT, key, ...(content.links ?? [])])).toString(36)}`;
  const path = join(place, name);
  if (isWhole(path, content)) {
    const now = Date.now();
    if (now - lstatSync(path).mtimeMs > DAY) unlessRefused(() => utimesSync(path, now / 1000, now / 1000));
    return path;
  }
  return hinting(place, () => {
    tidy(place);
    const fresh = makeFreshDirectory(join(place, `.${name}-`));
    try {
      for (const [link, target] of content.links ?? []) symlinkSync(target, join(fresh, link));
      // Synced before the directory gets its final name: what is in its files is not checked again.
      for (const [file, bytes] of content.files?.make(path) ?? []) {
        makeDirectories(dirname(join(fresh, file)));
        writeWhole(join(fresh, file), bytes, { isSynced: true });
      }
      rename(fresh, path);
      return path;
    } catch (error) {
      unlessRefused(() => rmSync(fresh, { recursive: true, force: true }));
      throw error;
    }
  });
}

/** Something of it may have been deleted, or replaced. */
function isWhole(path: string, { links, files }: Content): boolean {
  const look = (): boolean => {
    const own = lstatSync(path, { throwIfNoEntry: false });
    if (!own?.isDirectory() || !isOurs(own)) return false;
    return (
      [...(links ?? [])].every(([link, target]) => readlinkSync(join(path, link)) === target) &&
      [...(files?.names ?? [])].every((file) => isFilled(join(path, file)))
    );
  };
  return unlessRefused(look) ?? false;
}

function isFilled(path: string): boolean {
  const stat = lstatSync(path);
  return stat.isFile() && isOurs(stat) && stat.size > 0;
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
    if (!/^(kept-[0-9a-z]+|\.kept-[0-9a-z]+-\w{6}(-old)?)$/.test(name)) continue;
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
    makeDirectories(directory);
    const real = realPath(directory);
    if (!isSafe(real)) refuse(", as others may write to it");
    else if (system.isNoexec(real)) refuse(", as its file system is mounted noexec");
    else return real;
    return undefined;
  };
  return unlessRefused(look, ({ message }) => refuse(`: ${message}`));
}

/** Among the temporary files. Throws what making it throws, and LinkError if a library path cannot contain its name. */
function fallback(): string {
  const parent = resolve(tmpdir());
  const place = hinting(parent, () => {
    const own = join(privateParent(parent), "capsule-glibc");
    makeDirectory(own);
    return own;
  });
  if (canBeOnPath(place)) return place;
  throw new LinkError(
    `Cannot use "${parent}": a library path has no place for a name with a colon, a semicolon or a dollar sign (TMPDIR says which directory to use)`,
    { object: parent },
  );
}
