// What a command that had to be started over remembers of it, so that the next time it
// is started over before anything else is done: loading this program takes as long as
// all of Bun's own start. The process that is started looks for itself, and starts over
// again if what was remembered does not hold any more.
//
// Nothing is imported here that takes time, node:fs not either.

import { Exec } from "../lib/process/exec.ts";
import { SmallFiles } from "../lib/process/small-files.ts";
import { inheritedDescriptors } from "./passes/inherited.ts";
import { commandOf, restart, stringsIn, type Through, throughOf } from "./restart.ts";

/** Another number whenever the shape of the file changes. */
export const VERSION = 2;

export interface Entry {
  readonly through: Through;
  /** Of the ld.so and of what is first on the library path. */
  readonly identity: string;
}

export interface RecallFile {
  readonly version: number;
  readonly entries: Record<string, Entry>;
}

/** Starts over as the same command did the last time, if it did. Returns where nothing is known. */
export function recall(): void {
  const file = recallFileIn(cacheOf(process.env));
  if (file === undefined || process.argv[2] !== "exec" || throughOf() !== undefined) return;
  // ld.so cuts the kernel's copy of that variable (2.31-2.36 at least), which the environment is taken from here.
  if (process.env.GLIBC_TUNABLES !== undefined) return;
  const files = new SmallFiles();
  // What it says is run: it may be in the home of somebody else.
  if (!files.isOurs(file)) return;
  const entry = parsed(files.bytes(file))?.entries[ownKey()];
  if (!entry || entry.identity !== identityOf(entry.through)) return;
  const [cmdline, environ] = [files.bytes("/proc/self/cmdline"), files.bytes("/proc/self/environ")];
  if (!cmdline || !environ) return;
  const command = commandOf(inheritedDescriptors(files), cmdline, () => stringsIn(environ));
  restart(new Exec(), command, { environment: new Map(), through: entry.through });
}

/** Undefined for what has never been written, or is damaged: it will be written anew. */
export function parsed(bytes: Uint8Array | undefined): RecallFile | undefined {
  if (!bytes) return undefined;
  try {
    const content = JSON.parse(Buffer.from(bytes).toString()) as RecallFile;
    return content.version === VERSION ? content : undefined;
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof TypeError) return undefined;
    throw error;
  }
}

/** `cache` is a directory. */
export const recallFileIn = (cache: string | undefined): string | undefined => cache && `${cache}/started-over.json`;

/** Where this user's runs keep what they know; nowhere for somebody without a home. */
export function cacheOf({
  XDG_CACHE_HOME: cache,
  HOME: home,
}: Readonly<Record<string, string | undefined>>): string | undefined {
  if (cache?.startsWith("/")) return `${cache}/capsule`;
  return home?.startsWith("/") ? `${home}/.cache/capsule` : undefined;
}

/** Of everything from which the choice of trees is made, but for what is in them. */
export function ownKey(): string {
  const own = Object.entries(process.env)
    .filter(([name]) => /^(CAPSULE_|LD_LIBRARY_PATH$|TMPDIR$)/.test(name))
    .sort();
  return Bun.hash(JSON.stringify([process.cwd(), process.argv.slice(2), own])).toString(36);
}

export function identityOf({ loader, path }: Through): string {
  const [first = ""] = path.split(":");
  return [loader, `${first}/libc.so.6`]
    .map((file) => Bun.file(file))
    .map(({ size, lastModified }) => `${size} ${lastModified}`)
    .join("; ");
}
