// Opens a host tree's libraries in their namespace. All dependencies come from its tree, so glibc must not search by
// itself: a generated object needs all missing libraries by full path and is opened instead of them. glibc maps what
// that object names first, and then finds everything else by soname.
//
// One such object, rather than one library after the other, since glibc's behaviour depends on what is opened together:
// a library sees the symbols of its users only if it was opened with them (some are linked to half of what they use),
// RTLD_NOW and RTLD_DEEPBIND apply to all libraries that are opened together, and libraries that need each other cannot
// be opened in any other way.

import { basename, dirname } from "node:path";
import { openableCopy } from "../../lib/elf/write/openable.ts";
import { symbolObject } from "../../lib/elf/write/symbol-object.ts";
import { LinkError } from "../../lib/link-error.ts";
import {
  dlerror,
  dlmopen,
  dlmopenAll,
  dlopenBy,
  RTLD_GLOBAL,
  RTLD_LAZY,
  RTLD_NOLOAD,
  RTLD_NOW,
} from "../../lib/loader/calls.ts";
import type { LoadedObject } from "../../lib/loader/link-map.ts";
import { rename } from "../../lib/loader/rename.ts";
import type { Address } from "../../lib/memory/numbers.ts";
import type { Call, Linking } from "../../lib/process/process.ts";
import type { Closure, Member } from "../../lib/tree/closure.ts";
import { checkMembers } from "../plan/members.ts";
import { needsIn } from "../plan/needs.ts";
import { LOADER } from "../profiles/shared-set.ts";
import { capsuleOf, findOpened } from "./capsule-of.ts";
import { followGlobal } from "./global.ts";
import { lendUnique } from "./lend-unique.ts";
import type { Capsule, Linkage } from "./linkage.ts";
import { closureIn } from "./names.ts";
import { needsOfProgram } from "./of-program.ts";
import { objectOf } from "./opened.ts";
import { addMirror } from "./share.ts";
import { absentees, isHelper, type Named, together, unnamed } from "./together.ts";

/**
 * Shows the capsule the shared libraries of a closure, and returns what it has yet to open. `files` are also the open
 * libraries whose DT_NEEDED name glibc has yet to learn, in glibc's order.
 */
export function* missingOf(
  linkage: Linkage,
  capsule: Capsule,
  closure: Closure,
): Linking<{ paths: string[]; files: Named[] }> {
  for (const soname of closure.elsewhere.keys()) yield* share(linkage, capsule, soname);
  if (closure.elsewhere.has(LOADER)) yield* showLoader(linkage, capsule, closure);
  const { opened } = capsule;
  const paths = closure.inLoadOrder.map(({ library }) => library.path).filter((path) => !opened.has(path));
  if (paths.length === 0) return { paths, files: [] };
  const files = filesOf(closure).filter(({ path, names }) => !opened.has(path) || names.length > 0);
  return { paths, files: [...absentees(linkage, capsule, closure), ...files] };
}

/** Adds a mirror of a member of the shared set, or of another capsule's library, unless the capsule has one. */
export function* share(linkage: Linkage, capsule: Capsule, soname: string): Linking<void> {
  if (soname === LOADER || capsule.mirrors.has(soname)) return;
  const owner = capsuleOf(linkage.capsules, soname);
  const image = owner && (yield* ensureOpened(linkage, owner, soname)).image;
  yield* addMirror(linkage, capsule, soname, image);
}

/**
 * Opens an isolated library with all its dependencies. `mode` is the dlopen's. Throws LinkError if the tree lacks the
 * library or glibc refuses it.
 */
export function* ensureOpened(
  linkage: Linkage,
  capsule: Capsule,
  soname: string,
  mode = RTLD_LAZY,
): Linking<LoadedObject> {
  const closure = yield* closureIn(linkage, capsule, (open) => needsIn(capsule, [soname], undefined, open));
  checkClosure(capsule, closure);
  yield* lendUnique(linkage, capsule, closure);
  yield* openClosure(linkage, capsule, closure, { mode: mode & RTLD_NOW ? RTLD_NOW : RTLD_LAZY });
  return openedAs(capsule, soname);
}

/** Throws LinkError if the library is not open. */
export function openedAs(capsule: Capsule, soname: string): LoadedObject {
  const object = findOpened(capsule, soname);
  if (object) return object;
  const file = capsule.search.find(soname, undefined)?.path ?? "";
  throw new LinkError(`Cannot show "${soname}" to the program: "${file}" is not open`, { object: soname });
}

/**
 * ld.so gets an entry in a namespace as soon as it is looked up there. A library that must not search the default
 * directories (DF_1_NODEFLIB) does not find it unless another library already has.
 */
function* showLoader({ process }: Linkage, { namespace, opened }: Capsule, { members }: Closure): Linking<void> {
  const isNew = ({ library: { avoidsDefaults, needed, path } }: Member) =>
    avoidsDefaults && needed.includes(LOADER) && !opened.has(path);
  if (members.some(isNew)) yield* dlmopen(process, namespace, LOADER, RTLD_LAZY);
}

/** The files that a closure requires, in glibc's order. */
export function filesOf({ inLoadOrder, open }: Closure): Named[] {
  const files = inLoadOrder.map(({ library, names }) => ({ path: library.path, names }));
  return [...files, ...[...open].map(([name, path]) => ({ path, names: [name] }))];
}

/** Checks that a closure's libraries are safe for a loader. Throws as checkMembers does. */
export function checkClosure({ search, names, mirrors }: Capsule, closure: Closure): void {
  checkMembers(closure, search.store, (name) => names.of(name).length > 0 || mirrors.has(name));
}

/** glibc has refused to open something, and will again: repeating the call gives the requester glibc's own reason. */
export class Refusal extends LinkError {
  /** `reason` is glibc's, which begins with a file name or with what it did not find. `attempt` is the refused call. */
  constructor(
    paths: readonly string[],
    reason: string,
    readonly attempt: Call,
  ) {
    const named = paths.find((path) => reason.startsWith(`${path}: `));
    const object = named ?? paths[0] ?? "";
    super(`Cannot open "${object}": ${named === undefined ? reason : reason.slice(named.length + 2)}`, { object });
  }
}

/** How to open the libraries of a closure. */
interface Opening {
  /** Libraries whose thread-local block has to be in static TLS: path → one of its variables. */
  readonly lent?: ReadonlyMap<string, string>;
  /** Paths of open libraries whose symbols the closure shall find, too. */
  readonly beside?: readonly string[];
  /** Libraries that are opened later in the capsule shall find its symbols. */
  readonly isGlobal?: boolean;
  /** Keeps a C string in the process. Given at program start, where ld.so loads even what dlopen refuses. */
  readonly intern?: (text: string) => Address;
  /** RTLD_LAZY or RTLD_NOW. */
  readonly mode?: number;
}

/** Opens what the capsule has yet to open of a closure; it stays open. Throws Refusal, and what writing throws. */
export function* openClosure(
  linkage: Linkage,
  capsule: Capsule,
  closure: Closure,
  { lent = new Map(), beside = [], isGlobal = false, intern, mode = RTLD_LAZY }: Opening = {},
): Linking<void> {
  const { process } = linkage;
  const { namespace } = capsule;
  const { paths, files } = yield* missingOf(linkage, capsule, closure);
  if (paths.length === 0) return;
  yield* followGlobal(linkage, capsule);
  const copies = intern ? copiesOf(linkage, capsule, closure, paths) : new Map<string, string>();
  const fileOf = (path: string) => copies.get(path) ?? path;
  const references = [...lent]
    .filter(([path]) => paths.includes(path))
    .map(([path, variable]) => staticReference(linkage, capsule, fileOf(path), variable));
  const others = yield* needsOfProgram(linkage, capsule, closure);
  const wanted = [
    ...files.map(({ path, names }) => ({ path: fileOf(path), names })),
    ...unnamed([...references, ...beside, ...others]),
  ];
  const helper = together(linkage, capsule, wanted);
  // dlmopen does not accept RTLD_GLOBAL.
  const attempt: Call =
    isGlobal && others.length === 0
      ? { name: "dlopen", at: capsule.openHere, arguments: [helper, mode | RTLD_GLOBAL] }
      : { name: "dlmopen", arguments: [namespace, helper, mode] };
  const [opened = 0] = yield [attempt];
  if (opened === 0) throw new Refusal(paths, yield* dlerror(process), attempt);
  // One by one, since the program's symbols are for these alone.
  if (isGlobal && others.length > 0)
    for (const path of paths)
      yield* dlopenBy(process, capsule.openHere, fileOf(path), RTLD_LAZY | RTLD_NOLOAD | RTLD_GLOBAL);
  capsule.names.addAll(closure);
  const handles = yield* dlmopenAll(process, namespace, paths.map(fileOf), RTLD_LAZY | RTLD_NOLOAD);
  for (const [i, handle] of handles.entries()) {
    const path = paths[i] ?? "";
    let object = yield* objectOf(process, handle);
    if (intern && copies.has(path))
      object = rename(object, { path: intern(path), directory: intern(dirname(path)) }).object;
    capsule.opened.set(path, object);
  }
  tellOpened(linkage, capsule, paths);
}

/**
 * Files to use instead of libraries that dlopen refuses (DF_1_NOOPEN), by path: glibc checks the flag of everything it
 * maps for a dlopen, dependencies included (2.31-2.41).
 */
function copiesOf(
  { directory, trace }: Linkage,
  capsule: Capsule,
  { members }: Closure,
  paths: readonly string[],
): Map<string, string> {
  const refused = members.map(({ library }) => library).filter((one) => one.isForStart && paths.includes(one.path));
  return new Map(
    refused.map(({ path }) => {
      trace.log("capsule", () => `${path}: a copy is opened, as dlopen refuses it itself (DF_1_NOOPEN)`);
      const name = `${capsule.token}-${Bun.hash(path).toString(36)}-${basename(path)}`;
      return [path, directory.write(name, openableCopy(path))];
    }),
  );
}

/** Reports the libraries to readers of events. */
export function tellOpened({ process, trace }: Linkage, { search }: Capsule, opened: readonly string[]): void {
  const paths = opened.filter((path) => !isHelper(path));
  trace.emit(() => ({ event: "opened", pid: process.pid, host: search.tree.name, paths }));
}

/**
 * An object that needs a library and one of its thread-local variables in static TLS. Opened together with it, before
 * the library's constructors run: later, its block may have been allocated elsewhere.
 */
function staticReference({ directory, trace }: Linkage, capsule: Capsule, path: string, variable: string): string {
  const soname = `static-tls-of-${basename(path)}`;
  const { bytes } = symbolObject({ soname, needed: [path], wantedTls: variable });
  trace.log("capsule", () => `${path}: the program wants "${variable}" in static TLS`);
  return directory.write(`${capsule.token}-${soname}`, bytes);
}
