// dlsym with the handle of an isolated library also searches that library's dependencies, private ones included, in
// ld.so's order. Callers that load a library by name and look for functions of its dependencies rely on that (Python's
// ctypes, LuaJIT's ffi.load). A shim needs nothing private, or the program's own libraries would bind to it; but glibc
// keeps a separate list for what a handle searches.
//
// A handle comes from dlopen, which we intercept, so nothing is done earlier.

import {
  findScopeOffsets,
  isAsDrawn,
  searchListOf,
  setHandleScope,
  sizeOfHandleScope,
} from "../../lib/loader/handle-scope.ts";
import type { LoadedObject } from "../../lib/loader/link-map.ts";
import type { GlobalScope } from "../../lib/loader/namespace.ts";
import { type Address, toAddress } from "../../lib/memory/numbers.ts";
import { call, type Linking, type Process } from "../../lib/process/process.ts";
import { LIBC } from "../../lib/tree/glibc-names.ts";
import { MARK } from "../directories/private-directory.ts";
import { isShared } from "../profiles/shared-set.ts";
import type { Capsule, Linkage, Scopes } from "./linkage.ts";
import { openedAs } from "./open.ts";

/** `objects` are the known objects of the base namespace; `main` is its first. */
export function scopesOf(
  process: Process,
  scope: GlobalScope,
  main: Address,
  objects: Iterable<LoadedObject>,
): Scopes | undefined {
  const family = new Map<string, Address>();
  for (const object of objects) {
    if (object.path === "" || object.isVdso) continue;
    const { soname = "" } = object.image;
    if (isShared(soname)) family.set(soname, object.linkMap);
  }
  const libc = family.get(LIBC);
  const offsets = libc && findScopeOffsets(process, scope, main, libc);
  return offsets && { offsets, main, family, lent: new Set(), staying: new Map(), rooms: new Map() };
}

/** Call when the program is about to get a handle of a shim: its soname and link_map, by default of one that stays. */
export function* showByHandle(
  linkage: Linkage,
  capsule: Capsule,
  name: string,
  shim = linkage.scopes?.staying.get(name),
): Linking<void> {
  const { process, scopes, trace } = linkage;
  if (!scopes || shim === undefined || !isAsDrawn(process, shim, scopes.offsets)) return;
  const library = openedAs(capsule, name);
  const entries = entriesOf(linkage, scopes, capsule, library, shim);
  if (entries.length <= 1) return;
  // A longer list needs more room than the previous one had.
  const kept = `${name} ${entries.length}`;
  const room = scopes.rooms.get(kept) ?? toAddress(yield* call("malloc", sizeOfHandleScope(entries.length)));
  if (room === 0) return;
  scopes.rooms.set(kept, room);
  setHandleScope(process, shim, scopes.offsets, entries, room);
  trace.log("shim", () => `${name}: its handle finds what ${library.path} needs, ${entries.length - 1} objects`);
}

/**
 * What the library's own handle searches in the capsule, each object replaced by its counterpart on the program's side.
 */
function entriesOf(
  { process, capsules }: Linkage,
  { offsets, family }: Scopes,
  capsule: Capsule,
  library: LoadedObject,
  shim: Address,
): Address[] {
  const there = new Map<Address, Address>([[library.linkMap, shim]]);
  // Only shims that this shim itself needs stay loaded as long as it does.
  for (const soname of library.image.needed) {
    const other = capsule.shims.get(soname);
    if (other) there.set(openedAs(capsule, soname).linkMap, other.linkMap);
  }
  const interposer = family.get(MARK);
  const list: Address[] = [];
  const mirrored = new Map([...capsule.mirrors].map(([soname, { linkMap }]) => [linkMap, soname]));
  for (const entry of searchListOf(process, library.linkMap, offsets)) {
    const soname = mirrored.get(entry) ?? "";
    const shared = family.get(soname);
    // As in the global scope, functions that we intercept precede glibc's own.
    if (shared !== undefined && interposer !== undefined) list.push(interposer);
    const owner = capsules.find(({ shims }) => shims !== capsule.shims && shims.has(soname));
    list.push(shared ?? owner?.shims.get(soname)?.linkMap ?? there.get(entry) ?? entry);
  }
  return [...new Set(list)];
}
