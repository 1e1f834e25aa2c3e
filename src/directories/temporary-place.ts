// Where this user's temporary directories are: where nobody else can write, or replace a directory on the way. Such a
// directory's name outlives it, on library paths and in what processes have saved: anybody who could reuse the name, or
// put another directory in its place, could run code in these processes.

import { lstatSync, readdirSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { LinkError } from "../../lib/link-error.ts";
import { makeDirectories, makeDirectory, makeFreshDirectory } from "../../lib/own-files.ts";
import { Tree } from "../../lib/tree/tree.ts";
import { unlessRefused } from "../../lib/unless.ts";
import { storeFile } from "./own-cache.ts";
import { isTrusted, type Owner, openedAbove } from "./trusted.ts";

/**
 * The parent of private directories: TMPDIR if it is this user's alone, or a permanent directory of this user in it.
 * Where others may replace what is in TMPDIR, /tmp is used instead, or else the user's cache. Throws what making it
 * throws, and LinkError if none is safe.
 */
export function privateParent(directory = resolve(tmpdir())): string {
  for (const place of placesFor(directory)) {
    const real = realPath(place);
    if (isSafe(real)) return real;
    if (openedIn(real) === undefined) return ownIn(real);
  }
  throw new LinkError(
    `Cannot use "${directory}": libraries would be loaded from there, and others may replace what is in "${openedIn(realPath(directory))}" (TMPDIR says which directory to use)`,
    { object: directory },
  );
}

/** The first directory on the way to this one, or itself, in which others may replace what this user makes. */
export const openedIn = (directory: string): string | undefined => openedAbove(directory, ownerOf, uid());

function* placesFor(directory: string): Generator<string> {
  statSync(directory);
  yield directory;
  yield "/tmp";
  const store = storeFile();
  if (store === undefined) return;
  makeDirectories(dirname(store));
  yield dirname(store);
}

/** This user's directory in one in which others may make theirs. */
function ownIn(directory: string): string {
  const usual = join(directory, `capsule-of-${uid()}`);
  unlessRefused(() => makeDirectory(usual));
  if (isSafe(usual)) return usual;
  // Somebody else has that name, or may write there.
  const names = unlessRefused(() => readdirSync(directory)) ?? [];
  const others = names.map((name) => join(directory, name)).filter((path) => path.startsWith(`${usual}-`));
  return others.sort().find(isSafe) ?? makeFreshDirectory(`${usual}-`);
}

export const isSafe = (directory: string): boolean => isTrusted(directory, ownerOf, uid());

const uid = (): number => process.geteuid?.() ?? 0;

const ownerOf = (path: string): Owner | undefined => lstatSync(path, { throwIfNoEntry: false });

/** Bun's realpath reads /proc/self/fd, which lacks the descriptors of an in-process program's server thread. */
export const realPath = (path: string): string => new Tree("/", true).resolve(path) ?? path;
