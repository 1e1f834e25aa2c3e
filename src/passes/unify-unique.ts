// The statics of inline functions, inline variables and static members of templates (STB_GNU_UNIQUE) that an isolated
// C++ library and the program's side have compiled in from the same header. Natively a process has one of each, the
// first found, which is the program's: its code refers to its own directly. glibc maintains that only within a
// namespace. In-process, the program is loaded last, so the capsule's instances move to the program's, like objects
// that the program copies. For a program that is loaded first, see lend-unique.ts.
//
// Two trees may have different versions of a header, and of the C++ library. So symbols of std stay separate, and if
// one size differs, all of that library's symbols do.

import { STB_GNU_UNIQUE, STT_TLS } from "../../lib/elf/constants.ts";
import type { Image } from "../../lib/elf/image.ts";
import { bindingOf, isExported, typeOf } from "../../lib/elf/sym.ts";
import { findIn } from "../../lib/loader/calls.ts";
import type { LoadedObject } from "../../lib/loader/link-map.ts";
import { findMapping, readMaps } from "../../lib/memory/maps.ts";
import type { Linking } from "../../lib/process/process.ts";
import type { Trace } from "../diagnostics/trace.ts";
import { findOpened } from "./capsule-of.ts";
import type { Copy } from "./copy-objects.ts";
import type { Linkage } from "./linkage.ts";

/** `scope` is the program's, starting with the program. Writes nothing. */
export function* findUnified(linkage: Linkage, scope: readonly LoadedObject[]): Linking<Copy[]> {
  const { capsules, process, trace } = linkage;
  const shown = capsules.flatMap((capsule) =>
    [...capsule.shims].flatMap(([soname, shim]) => {
      const object = findOpened(capsule, soname);
      return object && capsule.search.libraryAt(object.path).hasUnique ? [{ shim, object }] : [];
    }),
  );
  const [program] = scope;
  if (!program || shown.length === 0) return [];
  const shims = new Set(shown.map(({ shim }) => shim.linkMap));
  const others = scope.filter(({ linkMap }) => !shims.has(linkMap)).map(({ image }) => image);
  const mappings = readMaps(process.task);
  const unified = new Map<number, Copy>();
  for (const { shim, object } of shown) {
    for (const { name, size } of sharedUnique(object.image, others, trace)) {
      const to = yield* findIn(program.linkMap, name);
      const from = yield* findIn(object.linkMap, name);
      if (to === undefined || from === undefined || to === from) continue;
      // For a constant, only the address would differ.
      if (!findMapping(mappings, to)?.writable) continue;
      trace.log("shim", () => `${shim.path}: "${name}" is the program's for both sides`);
      unified.set(from, { from, to, size });
    }
  }
  return [...unified.values()];
}

/** Unique symbols that a library shares with `others`; none if any of them differs in size. */
export function sharedUnique(library: Image, others: readonly Image[], trace: Trace): { name: string; size: number }[] {
  const both = uniqueSymbols(library).flatMap(({ name, size }) => {
    const sizes = others.flatMap((image) => {
      const index = image.find(name);
      return index === undefined ? [] : [image.symbols.at(index).st_size];
    });
    return sizes.length > 0 ? [{ name, size, isEqual: sizes.every((other) => other === size) }] : [];
  });
  const unequal = both.find(({ isEqual }) => !isEqual);
  if (!unequal) return both;
  trace.log("shim", () => `${library.path}: each side keeps its own statics, as "${unequal.name}" has two sizes`);
  return [];
}

/** Their names and sizes in bytes. */
export function uniqueSymbols({ symbols }: Image): { name: string; size: number }[] {
  return [...symbols]
    .filter((sym) => bindingOf(sym) === STB_GNU_UNIQUE && typeOf(sym) !== STT_TLS && isExported(sym))
    .map((sym) => ({ name: symbols.nameOf(sym), size: sym.st_size }))
    .filter(({ name }) => !OF_STD.test(name));
}

/** Mangled: an object, a guard (GV), or a function-local (Z), in namespace std or __gnu_cxx. */
const OF_STD = /^_Z(?:GV)?Z?(?:N[rVK]*)?(?:S[tabsiod]|9__gnu_cxx)/;
