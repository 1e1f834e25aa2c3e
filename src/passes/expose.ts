// Shows the program an isolated library: a shim, which glibc finds by the soname
// and binds to, at the addresses in the capsule. No trampoline, nothing to call.

import { existsSync } from "node:fs";
import { basename } from "node:path";
import { exportsTls } from "../../lib/elf/tls.ts";
import { mirrorOf, symbolsAt } from "../../lib/elf/write/mirror.ts";
import { dlmopen, LM_ID_BASE, linkMapOf, RTLD_LAZY, RTLD_NOW } from "../../lib/loader/calls.ts";
import { LinkError } from "../../lib/loader/error.ts";
import { LoadedObject } from "../../lib/loader/link-map.ts";
import { findTlsRecord, lendTls } from "../../lib/loader/tls.ts";
import type { Address } from "../../lib/memory/numbers.ts";
import { Patch } from "../../lib/process/patch.ts";
import type { Linking } from "../../lib/process/process.ts";
import { needsIn } from "../plan/needs.ts";
import { openHooks } from "./hooks.ts";
import { tableMapping } from "./intercept.ts";
import type { Capsule, Launch, Shim } from "./launch.ts";
import { lendStatics } from "./lend-statics.ts";
import { closureIn } from "./names.ts";
import { checkClosure, openClosure } from "./open.ts";

/** The capsule whose copy of a library the program sees. */
export const capsuleOf = (capsules: readonly Capsule[], soname: string): Capsule | undefined =>
  capsules.find(({ isolated, ownership }) => isolated.has(soname) && !ownership.isShared(soname));

/**
 * The isolated library, by its soname, that an object of the program's side is a copy of: the file says so itself, or
 * has the name under which programs look for it.
 */
export function standsFor(
  capsules: readonly Capsule[],
  { soname, path }: { readonly soname: string | undefined; readonly path: string },
): { capsule: Capsule; soname: string } | undefined {
  for (const name of [soname, basename(path)]) {
    const capsule = name === undefined ? undefined : capsuleOf(capsules, name);
    if (name !== undefined && capsule) return { capsule, soname: name };
  }
  return undefined;
}

/**
 * Opens an isolated library that was left for later, with all it needs, and shows it to the program. One that the tree
 * lacks is left to the runtime, but where it was there before, or the whole tree has gone. Throws as ensureOpened does.
 */
export function* ensureExposed(launch: Launch, capsule: Capsule, soname: string, mode?: number): Linking<void> {
  if (capsule.shims.has(soname)) return;
  const { search, promised } = capsule;
  if (search.find(soname, undefined) || promised.has(soname) || !existsSync(search.tree.name)) {
    yield* ensureOpened(launch, capsule, soname, mode);
    yield* expose(launch, capsule, soname);
  } else
    launch.trace.tell("shim", () => `${soname}: left to the runtime, ${capsule.search.tree.name} does not have it`);
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
  yield* lendStatics(launch, capsule, closure);
  yield* openClosure(launch, capsule, closure, { mode: mode & RTLD_NOW ? RTLD_NOW : RTLD_LAZY });
  return openedAs(capsule, soname);
}

/**
 * The library is open in the capsule. A shim needs the shims of what the library needs, as far as the program may see
 * that: it is found by dlsym then, and by programs that are linked to the one and use the other, too.
 */
export function* expose(
  launch: Launch,
  capsule: Capsule,
  soname: string,
  users: readonly string[] = [],
): Linking<void> {
  if (capsule.shims.has(soname)) return;
  const object = openedAs(capsule, soname);
  const needed: string[] = [];
  for (const name of object.image.needed) {
    const owner = capsuleOf(launch.capsules, name);
    // In a circle somebody must be first.
    if (!owner || users.includes(name)) continue;
    if (owner === capsule) yield* expose(launch, capsule, name, [...users, soname]);
    else yield* ensureExposed(launch, owner, name);
    needed.push(name);
  }
  yield* show(launch, capsule, { name: soname, soname }, object, needed);
}

/** For who needs it under another name: glibc knows a shim by its soname only, and would open the runtime's file. */
export function* exposeAs(launch: Launch, capsule: Capsule, alias: string, soname: string): Linking<void> {
  if (!capsule.shims.has(soname) || capsule.shims.has(alias)) return;
  yield* show(launch, capsule, { name: alias, soname }, openedAs(capsule, soname), [soname]);
}

export const isOpenAs = ({ search, opened }: Capsule, soname: string): boolean =>
  opened.has(search.find(soname, undefined)?.path ?? "");

export function openedAs(capsule: Capsule, soname: string): LoadedObject {
  const file = capsule.search.find(soname, undefined)?.path ?? "";
  const object = capsule.opened.get(file);
  if (!object) throw new LinkError(`Cannot show "${soname}" to the program: "${file}" is not open`, { object: soname });
  return object;
}

function* show(
  launch: Launch,
  capsule: Capsule,
  { name, soname }: { readonly name: string; readonly soname: string },
  object: LoadedObject,
  needed: readonly string[],
): Linking<void> {
  const shim = yield* launch.shim(launch, name, object, needed, yield* openHooks(launch, capsule, soname, object));
  capsule.shims.set(name, shim);
  if (name === soname) launch.scopes?.staying.set(name, shim.linkMap);
  launch.trace.tell("shim", () => `${name}: ${object.path} shown to the program by ${shim.path}`);
}

/** A shim that is made when the library is open: a mirror of it. */
export const mirrorShim: Shim = (launch, name, object, needed, hooks) =>
  makeShim(launch, name, object, needed, hooks, false);

/**
 * The same where no other thread of the program may be binding to it already. Where a shim is was not known when it was
 * written: from then on its table is what the gABI says, for who reads it by himself.
 */
export const mirrorShimAlone: Shim = (launch, name, object, needed, hooks) =>
  makeShim(launch, name, object, needed, hooks, true);

function* makeShim(
  { process, directory }: Launch,
  name: string,
  object: LoadedObject,
  needed: readonly string[],
  hooks: ReadonlyMap<string, Address>,
  isAlone: boolean,
): Linking<LoadedObject> {
  const { tls } = object.image;
  const record = tls && exportsTls(object.image) ? yield* findTlsRecord(process, object.linkMap, tls) : undefined;
  const overrides = new Map([...hooks].map(([symbol, address]) => [symbol, { address }]));
  const { bytes } = mirrorOf(object.image, { soname: name, needed, overrides, hasThreadLocals: record !== undefined });
  const path = directory.write(name, bytes);
  const handle = yield* dlmopen(process, LM_ID_BASE, path, RTLD_LAZY);
  const shim = new LoadedObject(process, yield* linkMapOf(process, handle));
  if (record !== undefined) lendTls(process, object.linkMap, shim.linkMap, record);
  if (!isAlone) return shim;
  const { image } = shim;
  const patch = new Patch();
  patch.set(image.addressOf(image.symbolTableAt), symbolsAt(object.image, image.loadBias, record !== undefined, hooks));
  yield* patch.apply(process, tableMapping(image));
  return shim;
}
