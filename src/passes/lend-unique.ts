// Unique symbols that both an isolated library and the program's side have compiled in (see unify-unique.ts), when the
// program's side is loaded before the library. A generated object defines them as unique in the capsule's namespace, at
// the program's addresses. The library then binds to the program's from its first constructor on, as it would natively.

import { openImage } from "../../lib/elf/file.ts";
import { findAddress } from "../../lib/elf/loaded.ts";
import { symbolObject } from "../../lib/elf/write/symbol-object.ts";
import { findIn } from "../../lib/loader/calls.ts";
import { searchListOf } from "../../lib/loader/handle-scope.ts";
import { linkMap } from "../../lib/loader/link-map.ts";
import type { Address } from "../../lib/memory/numbers.ts";
import { call, type Linking } from "../../lib/process/process.ts";
import type { Closure } from "../../lib/tree/closure.ts";
import { findOpened, isStandIn } from "./capsule-of.ts";
import type { Capsule, Linkage, Scopes } from "./linkage.ts";
import { openGenerated } from "./opened.ts";
import { objectsOf } from "./scope-of.ts";
import { sharedUnique, uniqueSymbols } from "./unify-unique.ts";

/** Call before the closure is opened. Throws what reading and writing throw, and LinkError. */
export function* lendUnique(linkage: Linkage, capsule: Capsule, { members }: Closure): Linking<void> {
  const { scopes, trace } = linkage;
  const libraries = members.filter(
    ({ library: { path, soname, hasUnique } }) =>
      hasUnique && capsule.isolated.includes(soname) && !capsule.opened.has(path),
  );
  if (!scopes || libraries.length === 0) return;
  const side = programsSide(linkage, scopes);
  const unique = new Map<string, Address>();
  for (const { library } of libraries) {
    using image = openImage(library.path);
    for (const { name } of sharedUnique(image, side.images, trace)) {
      const address = yield* side.find(name);
      if (address !== undefined) unique.set(name, address);
    }
  }
  if (unique.size === 0) return;
  const soname = `${capsule.token}-statics-${Bun.hash(JSON.stringify([...unique])).toString(36)}.so`;
  const { linkMap } = yield* openGenerated(linkage, capsule.namespace, soname, symbolObject({ soname, unique }).bytes);
  // The first symbol of a name to be looked up becomes the one for its namespace.
  yield lookUp(linkMap, [...unique.keys()]);
  trace.log("shim", () => `of the program for both sides: ${[...unique.keys()].join(" ")}`);
}

/** Makes objects with the same unique symbols, loaded later on the program's side, find the isolated library's. */
export function* showUnique({ scopes }: Linkage, capsule: Capsule, soname: string): Linking<void> {
  const path = findOpened(capsule, soname)?.path;
  const shim = capsule.shims.get(soname)?.linkMap;
  if (!scopes || !shim || path === undefined || !capsule.search.libraryAt(path).hasUnique) return;
  using image = openImage(path);
  const names = uniqueSymbols(image).map(({ name }) => name);
  if (names.length === 0) return;
  // The first one found is used for its name from then on; global objects come first.
  const found = yield lookUp(scopes.main, names);
  const missing = names.filter((_, i) => found[i] === 0);
  if (missing.length === 0) return;
  yield* call("dlerror");
  yield lookUp(shim, missing);
}

const lookUp = (object: Address, names: readonly string[]) =>
  names.map((name) => ({ name: "dlsym" as const, arguments: [object, name] }));

/** The base namespace without the shims and copies of isolated libraries, in search order. */
function programsSide({ process, capsules }: Linkage, { main, offsets }: Scopes) {
  const scope = searchListOf(process, main, offsets);
  const objects = [...linkMap(process, main)].filter(({ isVdso }) => !isVdso);
  const standIns = objects.filter((object) => isStandIn(capsules, object));
  const own = objects.filter((object) => !standIns.includes(object));
  const global = objectsOf(scope, own).map(({ image }) => image);
  const others = own
    .filter((object) => object.path !== "" && !scope.includes(object.linkMap))
    .map(({ image }) => image);
  return {
    images: [...global, ...others],
    *find(name: string): Linking<Address | undefined> {
      const isGlobal = global.some((image) => image.find(name) !== undefined);
      const found = isGlobal ? yield* findIn(main, name) : findAddress(others, name);
      // A placeholder may precede it in the scope: then the isolated library's is used.
      return standIns.some(({ image }) => image.holds(found ?? 0)) ? undefined : found;
    },
  };
}
