// Filters (DT_FILTER, DT_AUXILIARY): ld.so puts the libraries that they name before them, so their definitions take
// precedence. The program finds an isolated library only by its shim, so a filter's shim shows what its filtees define.

import { STT_GNU_IFUNC, STT_TLS } from "../../lib/elf/constants.ts";
import { isExported, typeOf } from "../../lib/elf/sym.ts";
import { findIn } from "../../lib/loader/calls.ts";
import type { LoadedObject } from "../../lib/loader/link-map.ts";
import type { Address } from "../../lib/memory/numbers.ts";
import type { Linking } from "../../lib/process/process.ts";
import type { Capsule, Linkage } from "./linkage.ts";
import { findObject } from "./opened.ts";

/** The exports of an open library that its filtees define: name → address. */
export function* filtered({ trace }: Linkage, capsule: Capsule, library: LoadedObject): Linking<Map<string, Address>> {
  const found = new Map<string, Address>();
  for (const filtee of yield* filteesOf(capsule.namespace, library, new Set())) {
    const { image, linkMap } = filtee;
    for (const [i, sym] of [...library.image.symbols].entries()) {
      const name = isExported(sym) && typeOf(sym) !== STT_TLS ? library.image.symbols.nameOf(sym) : "";
      if (name === "" || found.has(name)) continue;
      const index = image.findReferenced(name, library.image.versionOf(i));
      if (index === undefined) continue;
      const isChosen = typeOf(image.symbols.at(index)) === STT_GNU_IFUNC;
      const address = isChosen ? yield* findIn(linkMap, name, image.versionOf(index)) : image.symbolAddress(index);
      if (address !== undefined) found.set(name, address);
    }
    trace.log("shim", () => `${library.path}: ${filtee.path} is before it (DT_FILTER, DT_AUXILIARY)`);
  }
  return found;
}

/** The libraries that precede one, each after those that precede it. */
function* filteesOf(namespace: number, library: LoadedObject, known: Set<Address>): Linking<LoadedObject[]> {
  const filtees: LoadedObject[] = [];
  for (const { name } of library.image.filtees) {
    const object = yield* findObject(library.process, namespace, name);
    if (!object || known.has(object.linkMap)) continue;
    known.add(object.linkMap);
    filtees.push(...(yield* filteesOf(namespace, object, known)), object);
  }
  return filtees;
}
