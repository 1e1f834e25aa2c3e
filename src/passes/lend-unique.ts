// Unique symbols that both an isolated library and the program's side have compiled in (see unify-unique.ts), when the
// program's side is loaded before the library. A generated object defines them as unique in the capsule's namespace, at
// the program's addresses. The library then binds to the program's from its first constructor on, as it would natively.

import { openImage } from "../../lib/elf/file.ts";
import { findAddress, type LoadedImage } from "../../lib/elf/loaded.ts";
import { symbolObject } from "../../lib/elf/write/symbol-object.ts";
import { dlmopen, findIn, RTLD_LAZY } from "../../lib/loader/calls.ts";
import { searchListOf } from "../../lib/loader/handle-scope.ts";
import { type LoadedObject, linkMap } from "../../lib/loader/link-map.ts";
import type { Address } from "../../lib/memory/numbers.ts";
import { call, type Linking } from "../../lib/process/process.ts";
import type { Closure } from "../../lib/tree/closure.ts";
import { capsuleOf } from "./capsule-of.ts";
import type { Capsule, Launch } from "./launch.ts";
import { sharedUnique, uniqueSymbols } from "./unify-unique.ts";

/** Call before the closure is opened. Throws what reading and writing throw, and LinkError. */
export function* lendUnique(launch: Launch, capsule: Capsule, { members }: Closure): Linking<void> {
  const { process, directory, trace } = launch;
  const libraries = members.filter(
    ({ library: { path, soname, hasUnique } }) =>
      hasUnique && capsule.isolated.includes(soname) && !capsule.opened.has(path),
  );
  if (libraries.length === 0) return;
  const side = programsSide(launch);
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
  const path = directory.write(soname, symbolObject({ soname, unique }).bytes);
  const object = yield* dlmopen(process, capsule.namespace, path, RTLD_LAZY);
  // The first symbol of a name to be looked up becomes the one for its namespace.
  yield [...unique.keys()].map((name) => ({ name: "dlsym" as const, arguments: [object, name] }));
  trace.log("shim", () => `of the program for both sides: ${[...unique.keys()].join(" ")}`);
}

/**
 * Makes objects that are loaded later on the program's side, with the same unique symbols, find the isolated library's.
 */
export function* showUnique({ scopes }: Launch, capsule: Capsule, soname: string): Linking<void> {
  const { search, opened, shims } = capsule;
  const path = search.find(soname, undefined)?.path ?? "";
  const shim = shims.get(soname)?.linkMap;
  if (!scopes || !shim || !opened.has(path) || !search.libraryAt(path).hasUnique) return;
  using image = openImage(path);
  const names = uniqueSymbols(image).map(({ name }) => name);
  const lookUp = (object: Address, list: readonly string[]) =>
    list.map((name) => ({ name: "dlsym" as const, arguments: [object, name] }));
  if (names.length === 0) return;
  // The first one found is used for its name from then on; global objects come first.
  const found = yield lookUp(scopes.main, names);
  const missing = names.filter((_, i) => found[i] === 0);
  if (missing.length === 0) return;
  yield* call("dlerror");
  yield lookUp(shim, missing);
}

interface Side {
  /** In search order. */
  readonly images: readonly LoadedImage[];
  find(name: string): Linking<Address | undefined>;
}

/** The base namespace without the shims and copies of isolated libraries. */
function programsSide({ process, capsules, scopes }: Launch): Side {
  if (!scopes) return { images: [], find: findNothing };
  const scope = searchListOf(process, scopes.main, scopes.offsets);
  const rank = new Map(scope.map((object, i) => [object, i]));
  const objects = [...linkMap(process, scopes.main)].filter(
    ({ path, linkMap, isVdso }) => (path !== "" || rank.has(linkMap)) && !isVdso,
  );
  const stands = ({ image }: LoadedObject) => capsuleOf(capsules, image.soname ?? "") !== undefined;
  const images = objects.filter((object) => !stands(object));
  const global = images.filter(({ linkMap }) => rank.has(linkMap));
  global.sort((one, other) => (rank.get(one.linkMap) ?? 0) - (rank.get(other.linkMap) ?? 0));
  const others = images.filter(({ linkMap }) => !rank.has(linkMap)).map(({ image }) => image);
  return {
    images: [...global.map(({ image }) => image), ...others],
    *find(name) {
      const found = global.some(({ image }) => image.find(name) !== undefined)
        ? yield* findIn(scopes.main, name)
        : findAddress(others, name);
      // A placeholder may precede it in the scope: then the isolated library's is used.
      const isShims = objects.some((object) => stands(object) && object.image.holds(found ?? 0));
      return isShims ? undefined : found;
    },
  };
}

// biome-ignore lint/correctness/useYield: nothing has to be called
function* findNothing(): Linking<undefined> {
  return undefined;
}
