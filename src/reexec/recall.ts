// What a command that had to be started over remembers of it, so that the next time it
// is started over before anything else is done: loading this program takes as long as
// all of Bun's own start. The process that is started looks for itself, and starts over
// again if what was remembered does not hold any more.
//
// Nothing is imported here that takes time, node:fs not either.

import { Exec } from "../../lib/process/exec.ts";
import { SmallFiles } from "../../lib/process/small-files.ts";
import { isTrusted } from "../directories/trusted.ts";
import { cacheOf } from "../directories/user-cache.ts";
import { inheritedDescriptors } from "./inherited.ts";
import { commandOf, restart, stringsIn, type Through, throughOf } from "./restart.ts";

/** Another number whenever the shape of the file changes. */
export const VERSION = 4;

interface Entry {
  readonly through: Through;
  /** Paths of settings, whether they are there or not. */
  readonly settings: readonly string[];
  /** Of the ld.so, of what is first on the library path, and of the settings. */
  readonly identity: string;
}

export interface RecallFile {
  readonly version: number;
  readonly entries: Record<string, Entry>;
}

/**
 * Starts over as the same command did the last time, if it did. Returns where nothing is known, or it cannot be done.
 */
export function recall(): void {
  try {
    startOver();
  } catch {
    // Whatever it is, the command itself comes to it, and knows how to say it.
  }
}

function startOver(): void {
  const cache = cacheOf(process.env);
  if (cache === undefined || process.argv[2] !== "exec" || throughOf() !== undefined) return;
  // ld.so cuts the kernel's copy of that variable (2.31-2.36 at least), which the environment is taken from here.
  if (process.env.GLIBC_TUNABLES !== undefined) return;
  const files = new SmallFiles();
  const file = recallFileIn(cache);
  if (file === undefined || !isRegular(files, file)) return;
  const entry = parsed(files.bytes(file))?.entries[ownKey()];
  if (!entry || entry.identity !== identityOf(entry.through, entry.settings)) return;
  // What it says is run, and what is first on its library path is loaded: it may be in the home of somebody else.
  const [first = ""] = entry.through.path.split(":");
  const ownerOf = (path: string) => files.owner(path);
  if (!isTrusted(cache, ownerOf) || !isTrusted(first, ownerOf)) return;
  const [cmdline, environ] = [files.bytes("/proc/self/cmdline"), files.bytes("/proc/self/environ")];
  if (!cmdline || !environ) return;
  const command = commandOf(inheritedDescriptors(files), cmdline, () => stringsIn(environ));
  const through = { ...entry.through, program: process.execPath };
  restart(new Exec(), command, { environment: new Map(), through });
}

const [S_IFMT, S_IFREG] = [0o170000, 0o100000];

function isRegular(files: SmallFiles, file: string): boolean {
  const owner = files.owner(file);
  return owner !== undefined && (owner.mode & S_IFMT) === S_IFREG && owner.uid === process.getuid?.();
}

/** Undefined for what has never been written, or is damaged: it will be written anew. */
export function parsed(bytes: Uint8Array | undefined): RecallFile | undefined {
  if (!bytes) return undefined;
  try {
    const content = JSON.parse(Buffer.from(bytes).toString()) as Partial<RecallFile> | null;
    const isOurs = content?.version === VERSION && typeof content.entries === "object" && content.entries !== null;
    return isOurs ? (content as RecallFile) : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** `cache` is a directory. */
export const recallFileIn = (cache: string | undefined): string | undefined => cache && `${cache}/started-over.json`;

/** Of everything from which the choice of trees is made, but for what is in them. */
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
