// Shows the program an isolated library through a shim, which glibc finds by its soname and binds to, at the addresses
// in the capsule. No trampolines, no calls.

import { basename } from "node:path";
import { exportsTls } from "../../lib/elf/tls.ts";
import { mirrorOf, symbolsAt } from "../../lib/elf/write/mirror.ts";
import { LM_ID_BASE } from "../../lib/loader/calls.ts";
import { findTlsRecord, lendTls } from "../../lib/loader/tls.ts";
import { Patch } from "../../lib/process/patch.ts";
import type { Linking } from "../../lib/process/process.ts";
import { capsuleOf } from "./capsule-of.ts";
import { openHooks } from "./hooks.ts";
import { tableMapping } from "./intercept.ts";
import type { Capsule, Linkage, Shim } from "./linkage.ts";
import { ensureOpened, openedAs } from "./open.ts";
import { openGenerated } from "./opened.ts";

/**
 * Opens an isolated library that was left for later, with all its dependencies, and shows it to the program. One that
 * the tree lacks is left to the runtime, unless the tree had it before or the whole tree is gone. Throws as
 * ensureOpened does.
 */
export function* ensureExposed(linkage: Linkage, capsule: Capsule, soname: string, mode?: number): Linking<void> {
  if (capsule.shims.has(soname)) return;
  const { search, promised } = capsule;
  if (search.find(soname, undefined) || promised.includes(soname) || search.isGone) {
    yield* ensureOpened(linkage, capsule, soname, mode);
    yield* expose(linkage, capsule, soname);
  } else linkage.trace.log("shim", () => `${soname}: left to the runtime, ${search.tree.name} does not have it`);
}

/**
 * The library is open in the capsule. A shim needs the shims of the library's dependencies that the program may see, so
 * that dlsym finds them, as do programs that link to one library and use the other.
 */
export function* expose(
  linkage: Linkage,
  capsule: Capsule,
  soname: string,
  users: readonly string[] = [],
): Linking<void> {
  if (capsule.shims.has(soname)) return;
  const needed: string[] = [];
  for (const name of openedAs(capsule, soname).image.needed) {
    const owner = capsuleOf(linkage.capsules, name);
    // In a cycle, one library has to come first.
    if (!owner || users.includes(name)) continue;
    if (owner === capsule) yield* expose(linkage, capsule, name, [...users, soname]);
    else yield* ensureExposed(linkage, owner, name);
    needed.push(name);
  }
  yield* show(linkage, capsule, soname, needed);
}

/** For objects that need it by another name: glibc knows a shim only by its soname, and would open another file. */
export function* exposeAs(linkage: Linkage, capsule: Capsule, alias: string, soname: string): Linking<void> {
  if (!capsule.shims.has(soname) || capsule.shims.has(alias)) return;
  yield* show(linkage, capsule, soname, [soname], alias);
}

function* show(
  linkage: Linkage,
  capsule: Capsule,
  soname: string,
  needed: readonly string[],
  name = soname,
): Linking<void> {
  const object = openedAs(capsule, soname);
  const shim = yield* linkage.shim(linkage, name, object, needed, yield* openHooks(linkage, capsule, soname, object));
  capsule.shims.set(name, shim);
  if (name === soname) linkage.scopes?.staying.set(name, shim.linkMap);
  linkage.trace.log("shim", () => `${name}: ${object.path} shown to the program by ${shim.path}`);
}

/**
 * A shim that is made when the library is open: a mirror of it. Its address is not known when it is written. If no
 * other thread of the program can be binding to it already (`isAlone`), its table is rewritten once it is loaded, to
 * follow the gABI, for code that reads it directly.
 */
export const mirrorShim = (isAlone: boolean): Shim =>
  function* (linkage, name, object, needed, hooks) {
    const { process } = linkage;
    const { tls } = object.image;
    const record = tls && exportsTls(object.image) ? yield* findTlsRecord(process, object.linkMap, tls) : undefined;
    const hasThreadLocals = record !== undefined;
    const overrides = new Map([...hooks].map(([symbol, address]) => [symbol, { address }]));
    const { bytes } = mirrorOf(object.image, { soname: name, needed, overrides, hasThreadLocals });
    // ld.so compares requested names with sonames: for a library needed by path, the soname is that path.
    const file = name.includes("/") ? `${Bun.hash(name).toString(36)}-${basename(name)}` : name;
    const shim = yield* openGenerated(linkage, LM_ID_BASE, file, bytes);
    if (record !== undefined) lendTls(process, object.linkMap, shim.linkMap, record);
    if (!isAlone) return shim;
    const { image } = shim;
    const patch = new Patch();
    patch.set(image.addressOf(image.symbolTableAt), symbolsAt(object.image, image.loadBias, hasThreadLocals, hooks));
    yield* patch.apply(process, tableMapping(image));
    return shim;
  };
