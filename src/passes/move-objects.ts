// Objects of the host's libraries that move to the program, because the program has copied them or both sides have
// compiled them in. References that were bound earlier are redirected to the program's object. The program's own
// libraries need nothing: glibc has already bound them to it.

import type { LoadedImage } from "../../lib/elf/loaded.ts";
import { linkMap } from "../../lib/loader/link-map.ts";
import { Patch } from "../../lib/process/patch.ts";
import type { Linking } from "../../lib/process/process.ts";
import { LIBC } from "../../lib/tree/glibc-names.ts";
import { LOADER } from "../profiles/shared-set.ts";
import { type Copy, makeCopies, movesOf, updateSymbols } from "./copy-objects.ts";
import { redirectEscaped } from "./escaped-pointers.ts";
import type { Capsule, Linkage } from "./linkage.ts";
import { type Moved, redirect } from "./redirect.ts";

/**
 * Returns how many references it redirected. `functions` are those whose address changes for everybody because the
 * program, at a fixed address, calls them through an entry of its own, which is the function's address then.
 */
export function* moveObjects(linkage: Linkage, copies: readonly Copy[], functions: Moved = new Map()): Linking<number> {
  const { process, capsules, shared, trace } = linkage;
  // Slots first, so that an object that points to another one is copied with the new address in it.
  const moved = movesOf(copies);
  const patch = new Patch();
  redirect([...shared.values()], moved, patch);
  for (const capsule of capsules) {
    const images = objectsIn(linkage, capsule);
    redirect(images, functions, patch);
    const own = copies.filter(({ from }) => images.some((image) => image.holds(from)));
    // A library's references to its own objects that do not go by name stay bound to it, natively too.
    const named = images.flatMap((image) => {
      const met = new Set<number>();
      redirect([image], moved, patch, { met });
      return own.filter(({ from }) => met.has(from) && image.holds(from));
    });
    // libc holds the arguments of destructors.
    const libcImage = shared.get(LIBC);
    const kept = redirectEscaped(process, libcImage ? [...images, libcImage] : images, named, patch);
    if (named.length > 0) trace.log("redirect", () => `${kept} pointers to objects of host libraries redirected`);
    for (const { image } of capsule.mirrors.values()) updateSymbols(image, moved, patch);
    for (const image of images)
      if (own.some(({ from }) => image.holds(from))) updateSymbols(image, movesOf(own), patch);
  }
  yield* patch.apply(process);
  yield* makeCopies(process, copies);
  trace.log("redirect", () => `${copies.length} objects copied to the program, ${patch.length} references redirected`);
  return patch.length;
}

/**
 * What a capsule has loaded except its mirrors, including libraries opened by constructors. glibc gives each namespace
 * an entry for the one ld.so, without its address in 2.31.
 */
function objectsIn({ process, shared }: Linkage, { mirrors, opened }: Capsule): LoadedImage[] {
  const others = new Set([...mirrors.values()].map((object) => object.linkMap));
  const known = new Map([...opened.values()].map((object) => [object.linkMap, object]));
  const biases = [0, shared.get(LOADER)?.loadBias];
  const [first] = mirrors.values();
  return [...(first ? linkMap(process, first.linkMap) : [])]
    .filter((object) => !others.has(object.linkMap) && !biases.includes(object.loadBias))
    .map((object) => (known.get(object.linkMap) ?? object).image);
}
