// Executes this command once more in the way that was kept the last time (to-cache.ts), before anything else: loading
// the whole program takes as long as all of Bun's own start. The new process checks for itself, and executes the command
// again if what was kept no longer holds.
//
// Nothing is imported here that takes time, not even node:fs.

import { SmallFiles } from "../../lib/process/small-files.ts";
import { System } from "../../lib/process/system.ts";
import { unsealed } from "../../lib/sealed.ts";
import { isTrusted } from "../directories/trusted.ts";
import { cacheOf } from "../directories/user-cache.ts";
import { type Through, throughOf } from "./reexec.ts";
import { startAgainThrough } from "./start-again.ts";

/** To be changed with the file's format. */
export const VERSION = 5;

interface Entry {
  readonly through: Through;
  /** Paths of settings files, whether they exist or not. */
  readonly settings: readonly string[];
  /** Of the ld.so, of libc in the first library path directory, and of the settings files. */
  readonly identity: string;
}

export interface ReexecCache {
  readonly entries: Record<string, Entry>;
}

/** Does as the same command did the last time, if it did. Returns if nothing is known, or if this fails. */
export function reexecFromCache(): void {
  try {
    reexecAsBefore();
  } catch {
    // The command itself runs into the same error, and reports it.
  }
}

function reexecAsBefore(): void {
  const cache = cacheOf(process.env);
  if (cache === undefined || process.argv[2] !== "exec" || throughOf() !== undefined) return;
  const files = new SmallFiles(new System());
  const file = reexecCacheIn(cache);
  if (file === undefined || !isRegular(files, file)) return;
  const entry = parsed(files.bytes(file))?.entries[ownKey()];
  if (!entry || entry.identity !== identityOf(entry.through, entry.settings)) return;
  // The entry says what to run and load, and the cache may be in somebody else's home.
  const [first = ""] = entry.through.path.split(":");
  const ownerOf = (path: string) => files.owner(path);
  if (!isTrusted(cache, ownerOf) || !isTrusted(first, ownerOf)) return;
  startAgainThrough(files, { ...entry.through, program: process.execPath });
}

const [S_IFMT, S_IFREG] = [0o170000, 0o100000];

function isRegular(files: SmallFiles, file: string): boolean {
  const owner = files.owner(file);
  return owner !== undefined && (owner.mode & S_IFMT) === S_IFREG && owner.uid === process.getuid?.();
}

/** Undefined if the file was never written, or is damaged: it will be rewritten. */
export const parsed = (bytes: Uint8Array | undefined): ReexecCache | undefined =>
  bytes && (unsealed(VERSION, Buffer.from(bytes).toString()) as ReexecCache | undefined);

/** `cache` is a directory. */
export const reexecCacheIn = (cache: string | undefined): string | undefined => cache && `${cache}/started-over.json`;

/** A hash of everything that the choice of trees depends on, except their content. */
export function ownKey(): string {
  const own = Object.entries(process.env)
    .filter(([name]) => /^(CAPSULE_|LD_LIBRARY_PATH$|TMPDIR$|XDG_CONFIG_HOME$|HOME$)/.test(name))
    .sort();
  return Bun.hash(JSON.stringify([process.cwd(), process.argv.slice(2), own])).toString(36);
}

export function identityOf({ loader, path }: Through, settings: readonly string[]): string {
  const [first = ""] = path.split(":");
  return [loader, `${first}/libc.so.6`, ...settings]
    .map((file) => Bun.file(file))
    .map(({ size, lastModified }) => `${size} ${lastModified}`)
    .join("; ");
}
