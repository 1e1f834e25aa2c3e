// Which symbols of isolated libraries the program's side refers to, read from the slots of loaded objects: slots that
// already hold an address that a shim shows, and, by name, those of functions that glibc has not bound yet.

import { eachBoundSlot } from "../../lib/elf/bound-slots.ts";
import type { LoadedImage } from "../../lib/elf/loaded.ts";
import type { LoadedObject } from "../../lib/loader/link-map.ts";
import type { Binding } from "../diagnostics/events.ts";
import type { Linkage } from "./linkage.ts";
import type { Moved } from "./redirect.ts";

/** `images` have been redirected by `moved`. `shims` are given with the files of the libraries that they show. */
export function bindingsOf(
  { capsules }: Pick<Linkage, "capsules">,
  images: readonly LoadedImage[],
  shims: readonly { readonly object: LoadedObject; readonly path: string }[],
  moved: Moved,
): Binding[] {
  const shown = new Set<number>(moved.values());
  const opened = capsules.flatMap((capsule) => [...capsule.opened.values()]);
  const bindings: Binding[] = [];
  for (const image of images)
    eachBoundSlot(image, "all", (value, _at, _addend, index, isCall) => {
      const isLazy = isCall && image.holds(value);
      if (index === 0 || (!isLazy && !shown.has(value))) return;
      const symbol = image.symbols.nameOf(image.symbols.at(index));
      const version = image.versionOf(index);
      const definer = isLazy
        ? shims.find(({ object }) => object.image.findReferenced(symbol, version) !== undefined)
        : opened.find((object) => object.image.holds(value));
      if (definer) bindings.push({ object: image.path, symbol, version, path: definer.path, isLazy });
    });
  return bindings;
}
