// What a command that had to be started over remembers of it, so that the next time it
// is started over before anything else is done: loading this program takes as long as
// all of Bun's own start. The process that is started looks for itself, and starts over
// again if what was remembered does not hold any more.
//
// Nothing is imported here that takes time.

import { mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { Exec } from "../lib/process/exec.ts";
import { unlessRefused } from "../lib/system-error.ts";
import { inheritedDescriptors } from "./passes/inherited.ts";
import { commandOf, restart, type Through, throughOf } from "./restart.ts";

/** Another number whenever the shape of the file changes. */
const VERSION = 1;
/** Beyond this many the oldest are forgotten. */
const LIMIT = 50;
const FILE = "started-over.json";

interface Entry {
  readonly through: Through;
  /** Of the ld.so and of what is first on the library path. */
  readonly identity: string;
}

interface File {
  readonly version: number;
  readonly entries: Record<string, Entry>;
}

/** Starts over as the same command did the last time, if it did. Returns where nothing is known. */
export function recall(): void {
  const file = fileIn(cacheOf(process.env));
  if (file === undefined || process.argv[2] !== "exec" || throughOf() !== undefined) return;
  // ld.so cuts the kernel's copy of that variable (2.31-2.36 at least), which the environment is taken from here.
  if (process.env.GLIBC_TUNABLES !== undefined) return;
  const entry = read(file)?.entries[keyOf(process.argv.slice(2), process.env)];
  if (!entry || entry.identity !== identityOf(entry.through)) return;
  const exec = new Exec();
  const command = commandOf(inheritedDescriptors(), readFileSync("/proc/self/environ"));
  restart(exec, command, { environment: new Map(), through: entry.through });
}

/** `store` is a file in the user's cache, beside which it is remembered; what cannot be written will be found out again. */
export function remember(store: string | undefined, through: Through): void {
  const file = store && fileIn(dirname(store));
  if (file === undefined) return;
  const key = keyOf(process.argv.slice(2), process.env);
  const entries = Object.entries(read(file)?.entries ?? {}).filter(([other]) => other !== key);
  entries.push([key, { through, identity: identityOf(through) }]);
  const content: File = { version: VERSION, entries: Object.fromEntries(entries.slice(-LIMIT)) };
  unlessRefused(() => {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    const fresh = `${file}.${process.pid}`;
    writeFileSync(fresh, JSON.stringify(content), { mode: 0o600 });
    renameSync(fresh, file);
  });
}

const fileIn = (cache: string | undefined): string | undefined => cache && join(cache, FILE);

/** Where this user's runs keep what they know; nowhere for somebody without a home. */
export function cacheOf({
  XDG_CACHE_HOME: cache,
  HOME: home,
}: Readonly<Record<string, string | undefined>>): string | undefined {
  if (cache?.startsWith("/")) return join(cache, "capsule");
  return home?.startsWith("/") ? join(home, ".cache", "capsule") : undefined;
}

function read(file: string): File | undefined {
  try {
    const content = JSON.parse(readFileSync(file, "utf8")) as File;
    return content.version === VERSION ? content : undefined;
  } catch (error) {
    // Never written, or damaged: it will be written anew.
    if (error instanceof SyntaxError || (error as NodeJS.ErrnoException).code !== undefined) return undefined;
    throw error;
  }
}

/** Everything from which the choice of trees is made, but for what is in them. */
function keyOf(list: readonly string[], environment: Readonly<Record<string, string | undefined>>): string {
  const own = Object.entries(environment)
    .filter(([name]) => /^(CAPSULE_|LD_LIBRARY_PATH$|TMPDIR$)/.test(name))
    .sort();
  return Bun.hash(JSON.stringify([process.cwd(), list, own])).toString(36);
}

function identityOf({ loader, path }: Through): string {
  const [first = ""] = path.split(":");
  const files = [loader, join(first, "libc.so.6")].map((file) => statSync(file, { throwIfNoEntry: false }));
  return files.map((stat) => (stat ? `${stat.dev} ${stat.ino} ${stat.size} ${stat.mtimeMs}` : "none")).join("; ");
}
