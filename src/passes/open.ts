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

import { basename, dirname } from "node:path";
import { openableCopy } from "../../lib/elf/write/openable.ts";
import { symbolObject } from "../../lib/elf/write/symbol-object.ts";
import { LinkError } from "../../lib/link-error.ts";
import {
  dlerror,
  dlmopen,
  dlmopenAll,
  dlopenBy,
  linkMapOf,
  RTLD_GLOBAL,
  RTLD_LAZY,
  RTLD_NOLOAD,
  RTLD_NOW,
} from "../../lib/loader/calls.ts";
import { LoadedObject } from "../../lib/loader/link-map.ts";
import { rename } from "../../lib/loader/rename.ts";
import type { Address } from "../../lib/memory/numbers.ts";
import type { Call, Linking } from "../../lib/process/process.ts";
import type { Closure, Member } from "../../lib/tree/closure.ts";
import { refuseSanitizers } from "../plan/allocators.ts";
import { needsIn } from "../plan/needs.ts";
import { LOADER } from "../profiles/shared-set.ts";
import { capsuleOf } from "./capsule-of.ts";
import { followGlobal } from "./global.ts";
import type { Capsule, Launch } from "./launch.ts";
import { lendUnique } from "./lend-unique.ts";
import { closureIn } from "./names.ts";
import { needsOfProgram } from "./of-program.ts";
import { addMirror } from "./share.ts";
import { absentees, isHelper, type Named, together, unnamed } from "./together.ts";

/** What a capsule has yet to open of a closure. */
interface Missing {
  readonly paths: readonly string[];
  /** These, and what is open besides of which glibc has to know by which name it is needed; in glibc's order. */
  readonly files: readonly Named[];
}

/** Shows the capsule the shared libraries of a closure, and tells what it has yet to open. */
export function* missingOf(launch: Launch, capsule: Capsule, closure: Closure): Linking<Missing> {
  for (const soname of closure.elsewhere.keys()) yield* share(launch, capsule, soname);
  if (closure.elsewhere.has(LOADER)) yield* showLoader(launch, capsule, closure);
  const { opened } = capsule;
  const paths = closure.inLoadOrder.map(({ library }) => library.path).filter((path) => !opened.has(path));
  if (paths.length === 0) return { paths, files: [] };
  const files = filesOf(closure).filter((file) => isWanted(capsule, file));
  return { paths, files: [...absentees(launch, capsule, closure), ...files] };
}

/** Adds a mirror of a member of the shared set, or of another capsule's library, unless the capsule has it. */
export function* share(launch: Launch, capsule: Capsule, soname: string): Linking<void> {
  if (soname === LOADER || capsule.mirrors.has(soname)) return;
  const owner = capsuleOf(launch.capsules, soname);
  const image = owner && (yield* ensureOpened(launch, owner, soname)).image;
  yield* addMirror(launch, capsule, soname, image);
}

/**
 * Opens an isolated library with all it needs. `mode` is what a dlopen has asked for. Throws LinkError where the tree
 * does not have it, or glibc refuses.
 */
export function* ensureOpened(
  launch: Launch,
  capsule: Capsule,
  soname: string,
  mode = RTLD_LAZY,
): Linking<LoadedObject> {
  const closure = yield* closureIn(launch, capsule, (open) => needsIn(capsule, [soname], undefined, open));
  checkClosure(capsule, closure);
  yield* lendUnique(launch, capsule, closure);
  yield* openClosure(launch, capsule, closure, { mode: mode & RTLD_NOW ? RTLD_NOW : RTLD_LAZY });
  return openedAs(capsule, soname);
}

export const isOpenAs = ({ search, opened }: Capsule, soname: string): boolean =>
  opened.has(search.find(soname, undefined)?.path ?? "");

export function openedAs(capsule: Capsule, soname: string): LoadedObject {
  const file = capsule.search.find(soname, undefined)?.path ?? "";
  const object = capsule.opened.get(file);
  if (!object) throw new LinkError(`Cannot show "${soname}" to the program: "${file}" is not open`, { object: soname });
  return object;
}

/**
 * ld.so is in every namespace as soon as somebody looks for it. Who is not to look in the default directories
 * (DF_1_NODEFLIB) does not find it, unless somebody else has.
 */
function* showLoader({ process }: Launch, { namespace, opened }: Capsule, { members }: Closure): Linking<void> {
  const isNew = ({ library: { avoidsDefaults, needed, path } }: Member) =>
    avoidsDefaults && needed.includes(LOADER) && !opened.has(path);
  if (members.some(isNew)) yield* dlmopen(process, namespace, LOADER, RTLD_LAZY);
}

const isWanted = ({ opened }: Capsule, { path, names }: Named): boolean => !opened.has(path) || names.length > 0;

/** What has to be there for a closure, in glibc's order. */
export function filesOf({ inLoadOrder, open }: Closure): Named[] {
  const files = inLoadOrder.map(({ library, names }) => ({ path: library.path, names }));
  return [...files, ...[...open].map(([name, path]) => ({ path, names: [name] }))];
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

/** glibc has refused to open something, and will again: so it says the reason to who has asked for it. */
export class Refusal extends LinkError {
  constructor(
    message: string,
    object: string,
    /** What glibc was called for. */
    readonly attempt: Call,
  ) {
    super(message, { object });
  }
}

/** How what a closure has is opened. */
interface Opening {
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
  /** RTLD_LAZY or RTLD_NOW. */
  readonly mode?: number;
}

/** Opens what a closure has and the capsule has not; it stays. Throws Refusal, and what writing throws. */
export function* openClosure(
  launch: Launch,
  capsule: Capsule,
  closure: Closure,
  { lent = new Map(), beside = [], isGlobal = false, intern, mode = RTLD_LAZY }: Opening = {},
): Linking<void> {
  const { process } = launch;
  const { namespace } = capsule;
  const { paths, files } = yield* missingOf(launch, capsule, closure);
  if (paths.length === 0) return;
  yield* followGlobal(launch, capsule);
  const copies = intern ? copiesOf(launch, capsule, closure, paths) : new Map<string, string>();
  const fileOf = (path: string) => copies.get(path) ?? path;
  const references = [...lent]
    .filter(([path]) => paths.includes(path))
    .map(([path, variable]) => staticReference(launch, capsule, fileOf(path), variable));
  const others = yield* needsOfProgram(launch, capsule, closure);
  const wanted = [
    ...files.map(({ path, names }) => ({ path: fileOf(path), names })),
    ...unnamed([...references, ...beside, ...others]),
  ];
  const object = together(launch, capsule, wanted);
  // dlmopen does not take RTLD_GLOBAL.
  const attempt: Call =
    isGlobal && others.length === 0
      ? { name: "dlopen", at: capsule.openHere, arguments: [object, mode | RTLD_GLOBAL] }
      : { name: "dlmopen", arguments: [namespace, object, mode] };
  const [opened = 0] = yield [attempt];
  if (opened === 0) throw refusal(paths, yield* dlerror(process), attempt);
  // One by one, as what the program has given is for these alone.
  if (isGlobal && others.length > 0)
    for (const path of paths)
      yield* dlopenBy(process, capsule.openHere, fileOf(path), RTLD_LAZY | RTLD_NOLOAD | RTLD_GLOBAL);
  capsule.names.addAll(closure);
  const handles = yield* dlmopenAll(process, namespace, paths.map(fileOf), RTLD_LAZY | RTLD_NOLOAD);
  for (const [i, handle] of handles.entries()) {
    const path = paths[i] ?? "";
    const opened = new LoadedObject(process, yield* linkMapOf(process, handle));
    const isCopy = intern !== undefined && copies.has(path);
    const name = isCopy ? { path: intern(path), directory: intern(dirname(path)) } : undefined;
    capsule.opened.set(path, name ? rename(opened, name).object : opened);
  }
  tellOpened(launch, capsule, paths);
}

/** `reason` is glibc's, which begins with a file's name, or with what it has not found. */
function refusal(paths: readonly string[], reason: string, attempt: Call): Refusal {
  const named = paths.find((path) => reason.startsWith(`${path}: `));
  const [first = ""] = paths;
  const text = named === undefined ? reason : reason.slice(named.length + 2);
  return new Refusal(`Cannot open "${named ?? first}": ${text}`, named ?? first, attempt);
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
      trace.log("capsule", () => `${path}: a copy is opened, as dlopen refuses it itself (DF_1_NOOPEN)`);
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
  trace.log("capsule", () => `${path}: the program wants "${variable}" in static TLS`);
  return directory.write(`${capsule.token}-${soname}`, bytes);
}
