// Shows the program an isolated library through a shim, which glibc finds by its soname and binds to, at the addresses
// in the capsule. No trampolines, no calls.

import { existsSync } from "node:fs";
import { basename } from "node:path";
import { exportsTls } from "../../lib/elf/tls.ts";
import { mirrorOf, symbolsAt } from "../../lib/elf/write/mirror.ts";
import { dlmopen, LM_ID_BASE, linkMapOf, RTLD_LAZY } from "../../lib/loader/calls.ts";
import { LoadedObject } from "../../lib/loader/link-map.ts";
import { findTlsRecord, lendTls } from "../../lib/loader/tls.ts";
import type { Address } from "../../lib/memory/numbers.ts";
import { Patch } from "../../lib/process/patch.ts";
import type { Linking } from "../../lib/process/process.ts";
import { capsuleOf } from "./capsule-of.ts";
import { openHooks } from "./hooks.ts";
import { tableMapping } from "./intercept.ts";
import type { Capsule, Launch, Shim } from "./launch.ts";
import { ensureOpened, openedAs } from "./open.ts";

/**
 * Opens an isolated library that was left for later, with all its dependencies, and shows it to the program. One that
 * the tree lacks is left to the runtime, unless the tree had it before or the whole tree is gone. Throws as
 * ensureOpened does.
 */
export function* ensureExposed(launch: Launch, capsule: Capsule, soname: string, mode?: number): Linking<void> {
  if (capsule.shims.has(soname)) return;
  const { search, promised } = capsule;
  if (search.find(soname, undefined) || promised.includes(soname) || !existsSync(search.tree.name)) {
    yield* ensureOpened(launch, capsule, soname, mode);
    yield* expose(launch, capsule, soname);
  } else launch.trace.log("shim", () => `${soname}: left to the runtime, ${capsule.search.tree.name} does not have it`);
}

/**
 * The library is open in the capsule. A shim needs the shims of the library's dependencies that the program may see, so
 * that dlsym finds them, as do programs that link to one library and use the other.
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
    // In a cycle, one library has to come first.
    if (!owner || users.includes(name)) continue;
    if (owner === capsule) yield* expose(launch, capsule, name, [...users, soname]);
    else yield* ensureExposed(launch, owner, name);
    needed.push(name);
  }
  yield* show(launch, capsule, { name: soname, soname }, object, needed);
}

/**
 * For objects that need it under another name: glibc knows a shim only by its soname, and would open the runtime's
 * file.
 */
export function* exposeAs(launch: Launch, capsule: Capsule, alias: string, soname: string): Linking<void> {
  if (!capsule.shims.has(soname) || capsule.shims.has(alias)) return;
  yield* show(launch, capsule, { name: alias, soname }, openedAs(capsule, soname), [soname]);
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
  launch.trace.log("shim", () => `${name}: ${object.path} shown to the program by ${shim.path}`);
}

/** A shim that is made when the library is open: a mirror of it. */
export const mirrorShim: Shim = (launch, name, object, needed, hooks) =>
  makeShim(launch, name, object, needed, hooks, false);

/**
 * The same if no other thread of the program can be binding to it already. The shim's address was not known when it was
 * written; once loaded, its table is rewritten to follow the gABI, for code that reads it directly.
 */
export const mirrorShimAlone: Shim = (launch, name, object, needed, hooks) =>
  makeShim(launch, name, object, needed, hooks, true);

/**
 * A library needed by path requires an object with that path as its soname: ld.so compares requested names with
 * sonames.
 */
const fileName = (name: string): string =>
  name.includes("/") ? `${Bun.hash(name).toString(36)}-${basename(name)}` : name;

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
  const path = directory.write(fileName(name), bytes);
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
