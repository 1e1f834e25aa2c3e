// Opens a host tree's libraries in their namespace. Whatever a library needs comes
// from its tree, so glibc must not search for it by itself: an object of ours needs
// all that is missing, by full path, and is opened in their place. glibc maps what
// it names first, and so finds everything else by its soname.
//
// One such object, and not one library behind the other, since who is opened by
// whom decides what glibc does: a library sees the symbols of its users only where
// it was opened with them (some are linked to half of what they use), RTLD_NOW and
// RTLD_DEEPBIND hold for all that is opened together, and libraries that need each
// other in a circle cannot be opened in any other way.

import { existsSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import type { Library } from "../../lib/elf/library.ts";
import { openableCopy } from "../../lib/elf/write/openable.ts";
import { symbolObject } from "../../lib/elf/write/symbol-object.ts";
import {
  dlmopen,
  dlmopenAll,
  dlopenBy,
  linkMapOf,
  RTLD_GLOBAL,
  RTLD_LAZY,
  RTLD_NOLOAD,
} from "../../lib/loader/calls.ts";
import { LoadedObject } from "../../lib/loader/link-map.ts";
import { rename } from "../../lib/loader/rename.ts";
import type { Address } from "../../lib/memory/numbers.ts";
import type { Linking } from "../../lib/process/process.ts";
import { unlessRefused } from "../../lib/system-error.ts";
import { type Closure, closureFrom } from "../../lib/tree/closure.ts";
import { dependenciesOfFile } from "../../lib/tree/dependencies.ts";
import type { Capsule, CapsuleSource, Launch } from "../launch.ts";
import { refuseSanitizers } from "../plan/allocators.ts";
import { followGlobal } from "./global.ts";
import { needsOfProgram } from "./of-program.ts";
import { share } from "./share.ts";

/**
 * Shows the capsule the shared libraries of a closure, and returns the paths of what it has yet to open, in glibc's
 * order.
 */
export function* missingOf(launch: Launch, capsule: Capsule, closure: Closure): Linking<string[]> {
  for (const soname of closure.elsewhere.keys()) yield* share(launch, capsule, soname);
  const paths = closure.inLoadOrder.map(({ library }) => library.path).filter((path) => !capsule.opened.has(path));
  return paths.length === 0 ? [] : [...absentees(launch, capsule, closure), ...paths];
}

/** What the tree lacks, and glibc would look for on the machine (DT_AUXILIARY): there is something of that name. */
function absentees({ directory, trace }: Launch, capsule: Capsule, { absent }: Closure): string[] {
  const names = absent.filter((name) => !name.includes("/"));
  return names.map((soname) => {
    trace.tell("search", () => `${soname}: the tree does not have it, and it is optional (DT_AUXILIARY)`);
    const name = `${capsule.token}${TOGETHER}without-${soname}`;
    const path = join(directory.path, name);
    return existsSync(path) ? path : directory.write(name, symbolObject({ soname }).bytes);
  });
}

/**
 * Looks whether a loader can believe what a closure has and the capsule has not opened. Throws ElfError and what
 * open(2) throws.
 */
export function checkClosure(
  { search, opened }: Capsule,
  { members }: Closure,
  extent: "tables" | "whole" = "tables",
): void {
  refuseSanitizers(members.map(({ library }) => library));
  for (const { library } of members) if (!opened.has(library.path)) search.store.check(library.path, extent);
}

/**
 * A library that the host tree does not have, with what it needs from there. `origin` is as a requester's. Throws as
 * closureOf does.
 */
export const closureOfOutsider = (
  { search, ownership }: Pick<CapsuleSource, "search" | "ownership">,
  library: Library,
  origin = dirname(library.path),
): Closure => closureFrom(dependenciesOfFile(search, { library, origin }, (soname) => ownership.isShared(soname)));

const TOGETHER = "-together-";

/** Is it an object of ours that is only there for others, by its path? */
export const isHelper = (path: string): boolean => basename(path).includes(TOGETHER);

/**
 * An object that needs these libraries; a path. There is one for each list, however often it is asked for. Throws what
 * writing throws.
 */
export function together({ directory, trace }: Launch, capsule: Capsule, paths: readonly string[]): string {
  trace.tell("capsule", () => `opening ${paths.join(" ")}`);
  const name = `${capsule.token}${TOGETHER}${Bun.hash(paths.join("\0")).toString(36)}.so`;
  const path = join(directory.path, name);
  return existsSync(path) ? path : directory.write(name, symbolObject({ soname: name, needed: paths }).bytes);
}

/**
 * As `together`, but undefined where nothing can be written: the disk is full, the directory gone, the process at its
 * end.
 */
export function findTogether(launch: Launch, capsule: Capsule, paths: readonly string[]): string | undefined {
  return unlessRefused(
    () => together(launch, capsule, paths),
    ({ message }) => launch.trace.tell("capsule", () => `one behind the other: ${message}`),
  );
}

/** How what a closure has is opened. */
export interface Opening {
  /** Libraries whose thread-local block has to be in static TLS, by path, with a variable in it. */
  readonly lent?: ReadonlyMap<string, string>;
  /** The paths of libraries that are open, and whose symbols it shall find, too. */
  readonly beside?: readonly string[];
  /** What is opened later in the capsule shall find its symbols. */
  readonly isGlobal?: boolean;
  /**
   * Given for what is needed at the start of a program, where ld.so loads what dlopen refuses: keeps a C string in the
   * process.
   */
  readonly intern?: (text: string) => Address;
}

/** Opens what a closure has and the capsule has not; it stays. */
export function* openClosure(
  launch: Launch,
  capsule: Capsule,
  closure: Closure,
  { lent = new Map(), beside = [], isGlobal = false, intern }: Opening = {},
): Linking<void> {
  const { process } = launch;
  const paths = yield* missingOf(launch, capsule, closure);
  if (paths.length === 0) return;
  yield* followGlobal(launch, capsule);
  const copies = intern ? copiesOf(launch, capsule, closure, paths) : new Map<string, string>();
  const fileOf = (path: string) => copies.get(path) ?? path;
  const files = paths.map(fileOf);
  const references = [...lent]
    .filter(([path]) => paths.includes(path))
    .map(([path, variable]) => staticReference(launch, capsule, fileOf(path), variable));
  const others = yield* needsOfProgram(launch, capsule, closure);
  const object = together(launch, capsule, [...files, ...references, ...beside, ...others]);
  if (isGlobal && others.length === 0) yield* dlopenBy(process, capsule.openHere, object, RTLD_LAZY | RTLD_GLOBAL);
  else yield* dlmopen(process, capsule.namespace, object, RTLD_LAZY);
  // One by one, as what the program has given is for these alone.
  if (isGlobal && others.length > 0)
    for (const file of files) yield* dlopenBy(process, capsule.openHere, file, RTLD_LAZY | RTLD_NOLOAD | RTLD_GLOBAL);
  const handles = yield* dlmopenAll(process, capsule.namespace, files, RTLD_LAZY | RTLD_NOLOAD);
  for (const [i, handle] of handles.entries()) {
    const path = paths[i] ?? "";
    const opened = new LoadedObject(process, yield* linkMapOf(process, handle));
    const isCopy = intern !== undefined && copies.has(path);
    const name = isCopy ? { path: intern(path), directory: intern(dirname(path)) } : undefined;
    capsule.opened.set(path, name ? rename(opened, name).object : opened);
  }
  tellOpened(launch, capsule, paths);
}

/**
 * Files in place of libraries that dlopen refuses (DF_1_NOOPEN), by path: glibc looks at the flag of whatever it maps
 * for a dlopen, of what is only needed, too (2.31-2.41).
 */
function copiesOf(
  { directory, trace }: Launch,
  capsule: Capsule,
  { members }: Closure,
  paths: readonly string[],
): Map<string, string> {
  const refused = members.map(({ library }) => library).filter((one) => one.isForStart && paths.includes(one.path));
  return new Map(
    refused.map(({ path }) => {
      trace.tell("capsule", () => `${path}: a copy is opened, as dlopen refuses it itself (DF_1_NOOPEN)`);
      const name = `${capsule.token}-${Bun.hash(path).toString(36)}-${basename(path)}`;
      return [path, directory.write(name, openableCopy(path))];
    }),
  );
}

/** For who reads events. */
export function tellOpened({ process, trace }: Launch, { search }: Capsule, opened: readonly string[]): void {
  const paths = opened.filter((path) => !isHelper(path));
  trace.emit(() => ({ event: "opened", pid: process.pid, host: search.tree.name, paths }));
}

/**
 * An object that needs a library and one of its thread-local variables in static TLS. Opened together with it, before
 * the library's constructors: afterwards its block may have been allocated elsewhere.
 */
function staticReference({ directory, trace }: Launch, capsule: Capsule, path: string, variable: string): string {
  const soname = `static-tls-of-${basename(path)}`;
  const { bytes } = symbolObject({ soname, needed: [path], wantedTls: variable });
  trace.tell("capsule", () => `${path}: the program wants "${variable}" in static TLS`);
  return directory.write(`${capsule.token}-${soname}`, bytes);
}
