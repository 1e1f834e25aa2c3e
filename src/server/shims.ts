// What an attached process finds in place of isolated libraries: placeholders, by their sonames and by their
// development names, in a directory that comes first on its library path.

import { linkSync, readFileSync, readlinkSync, renameSync, symlinkSync } from "node:fs";
import { basename, join } from "node:path";
import { ElfError } from "../../lib/elf/error.ts";
import { openImage } from "../../lib/elf/file.ts";
import { placeholderOf } from "../../lib/elf/write/placeholder.ts";
import { makeDirectory, writeWhole } from "../../lib/own-files.ts";
import type { Found, Search } from "../../lib/tree/search.ts";
import { unless, unlessRefused } from "../../lib/unless.ts";
import { EXIT } from "../diagnostics/errors.ts";
import type { Trace } from "../diagnostics/trace.ts";
import { hinting } from "../directories/private-directory.ts";
import type { HostTree } from "../plan/host-tree.ts";
import { keyOf, type PlaceholderCache } from "./placeholder-cache.ts";

/** The object that every shim needs, and its function that a shim's initialiser calls. */
export const AGENT = "libcapsule-agent.so";
export const ATTACH = "capsule_attach";

/** The directory, among the libraries, of the files of kept placeholders. */
export const KEPT = "shims";

/** Isolated libraries that it lacks have no shim, nor have those of which the program's copy serves both sides. */
export interface ShownTree extends HostTree {
  /** Libraries that the user has named: they must be sound. */
  readonly named?: ReadonlySet<string>;
}

interface Shown {
  readonly soname: string;
  readonly host: ShownTree;
  readonly found: Found;
}

/**
 * Fills `directory`, which exists, or renews what is in it: at any time a process finds an old or a new one there. A
 * placeholder that cannot be made anew stays. Placeholders are kept in `placeholderCache`; without it, or if that fails, they are
 * in `directory` itself. Returns the file of each soname's shim. Throws what reading and writing throw, as `hint` words
 * it.
 */
export function placeShims(
  directory: string,
  hosts: readonly ShownTree[],
  placeholderCache: PlaceholderCache | undefined,
  runtime: Search,
  trace: Trace,
): Map<string, string> {
  const shown = new Map<string, Shown>();
  for (const host of hosts) {
    for (const soname of host.isolated) {
      if (shown.has(soname)) continue;
      const found = host.search.find(soname, undefined) ?? promisedAs(soname, host, runtime);
      if (!found) trace.log("shim", () => `${soname}: left to the runtime, ${host.search.tree.name} does not have it`);
      else if (!host.ownership.isShared(soname)) shown.set(soname, { soname, host, found });
    }
  }
  const files = new Map<string, string>();
  for (const one of shown.values()) {
    const file = shimOf(one, shown, placeholderCache, directory, trace);
    if (file !== undefined) files.set(one.soname, file);
  }
  placeholderCache?.tidy();
  const others = new Map<string, string>();
  for (const soname of files.keys()) {
    const name = developmentName(shown.get(soname) as Shown, runtime);
    if (name !== undefined && !files.has(name)) others.set(name, soname);
  }
  hinting(directory, () => {
    const kept = [...files].filter(([soname, file]) => file !== join(directory, soname));
    if (kept.length > 0) makeDirectory(join(directory, KEPT));
    for (const [soname, file] of kept) show(file, directory, soname);
    for (const [name, soname] of others) lead(join(directory, name), soname);
  });
  return files;
}

/**
 * A promised library that is not there any more: what needs it finds a placeholder with the interface of the runtime's
 * copy, and is told when it is linked.
 */
function promisedAs(soname: string, { promised }: ShownTree, runtime: Search): Found | undefined {
  return promised.includes(soname) ? runtime.find(soname, undefined) : undefined;
}

/**
 * Shows a cached placeholder below the directory, as a sandbox may show the directory but not the cache. It also keeps
 * the library's name out of /proc/PID/maps, where only the host's own file should have it.
 */
function show(file: string, directory: string, soname: string): void {
  const own = join(KEPT, basename(file));
  try {
    linkSync(file, join(directory, own));
  } catch (error) {
    const { code = "" } = error as NodeJS.ErrnoException;
    // Another file system, or one without links; or it is there already.
    if (!["EXDEV", "EPERM", "EMLINK", "EEXIST"].includes(code)) throw error;
    if (code !== "EEXIST") writeWhole(join(directory, own), readFileSync(file));
  }
  lead(join(directory, soname), own);
}

/** Makes a symbolic link, or makes it lead elsewhere. */
function lead(link: string, target: string): void {
  try {
    symlinkSync(target, link);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    if (unlessRefused(() => readlinkSync(link)) === target) return;
    const fresh = `${link}.new`;
    symlinkSync(target, fresh);
    renameSync(fresh, link);
  }
}

/** Undefined for an unsound library, which is reported to the user. Throws ElfError if the user has named it. */
function shimOf(
  { soname, host, found }: Shown,
  shown: ReadonlyMap<string, Shown>,
  placeholderCache: PlaceholderCache | undefined,
  directory: string,
  trace: Trace,
): string | undefined {
  const { store } = host.search;
  try {
    const { library } = found;
    const needed = library.needed.filter((name) => shown.has(name));
    // Before the file is read, so that a file that is replaced meanwhile is not cached by its new identity.
    const identity = store.known(found.path)?.identity;
    const key = identity === undefined ? undefined : keyOf([AGENT, ATTACH, found.path, identity, soname, ...needed]);
    const kept = key === undefined ? undefined : placeholderCache?.find(key);
    if (kept !== undefined) {
      trace.log("shim", () => `${soname}: the placeholder of ${found.path} is kept, ${kept}`);
      return kept;
    }
    store.check(found.path, "tables");
    using source = openImage(found.path);
    const names = { soname, needed, agent: AGENT, attach: ATTACH };
    const bytes = placeholderOf(source, { ...names, owner: "capsule", status: EXIT.failure });
    const write = () => hinting(directory, () => writeWhole(join(directory, soname), bytes));
    const made = (key === undefined ? undefined : placeholderCache?.add(key, bytes)) ?? write();
    trace.log("shim", () => `${soname}: a placeholder of ${found.path}, ${made}`);
    return made;
  } catch (error) {
    if (!(error instanceof ElfError) || host.named?.has(soname)) throw error;
    trace.warn(`${error.message}: programs get the runtime's own ${soname}`);
    return undefined;
  }
}

/** `libGL.so`, which some programs open, if it leads to the same library on either side. */
function developmentName({ soname, host, found }: Shown, runtime: Search): string | undefined {
  const end = soname.indexOf(".so");
  const name = end < 0 ? soname : soname.slice(0, end + ".so".length);
  if (name === soname) return undefined;
  const other = runtime.find(name, undefined) ?? host.search.find(name, undefined);
  // By its soname: some trees have a copy of that name where others have a link.
  const isSame = other?.path === found.path || unless([ElfError], () => other?.library.soname) === soname;
  return isSame ? name : undefined;
}
