// A preloaded library (an overlay) may have loaded the runtime's own copy of an isolated library before there were
// shims. References to the copy are then redirected to the host's, by value: a slot that holds an address in the copy
// gets the shim's address of the same symbol. The copy stays, after everything else in the scope.

import { eachBoundSlot } from "../../lib/elf/bound-slots.ts";
import { STT_GNU_IFUNC } from "../../lib/elf/constants.ts";
import type { LoadedImage } from "../../lib/elf/loaded.ts";
import { typeOf } from "../../lib/elf/sym.ts";
import type { LoadedObject } from "../../lib/loader/link-map.ts";
import { add } from "../../lib/memory/numbers.ts";
import { Patch } from "../../lib/process/patch.ts";
import { standsFor } from "../passes/capsule-of.ts";
import { ensureExposed } from "../passes/expose.ts";
import type { Run } from "./run.ts";

/** A runtime's copy and the shim that displaces it. */
export interface Displaced {
  readonly copy: LoadedObject;
  readonly shim: LoadedObject;
}

export function displace(run: Run): Displaced[] {
  const { base, trace } = run;
  const inOrder = [...base.preloaded, ...base.dependencies];
  const displaced = inOrder.flatMap((copy): Displaced[] => {
    const there = standsFor(run.capsules, { soname: copy.image.soname, path: copy.path });
    if (!there) return [];
    const { capsule, soname } = there;
    run.libc.run(ensureExposed(run, capsule, soname));
    const shim = capsule.shims.get(soname);
    return shim ? [{ copy, shim }] : [];
  });
  if (displaced.length === 0) return [];
  const copies = displaced.map(({ copy }) => copy);
  const patch = new Patch();
  for (const object of inOrder)
    if (copies.includes(object)) bindAmongCopies(object.image, inOrder, copies, patch);
    else redirectSlots(object.image, displaced, patch);
  run.libc.run(patch.apply(run.libc));
  run.counts.written += patch.length;
  for (const { copy, shim } of displaced)
    trace.log("redirect", () => `${copy.path}: preloaded, and displaced by ${shim.path}`);
  trace.log("redirect", () => `${patch.length} slots of what is preloaded redirected`);
  return displaced;
}

function redirectSlots(image: LoadedImage, displaced: readonly Displaced[], patch: Patch): void {
  eachBoundSlot(image, "all", (value, at, addend, symbol) => {
    const found = symbol === 0 ? undefined : displaced.find(({ copy }) => copy.image.holds(value));
    const index = found?.shim.image.find(image.symbols.nameOf(image.symbols.at(symbol)));
    // An older host's library may lack it: then the copy's own stays, as it is the only one.
    if (!found || index === undefined) return;
    patch.setPointer(image.addressOf(at), add(found.shim.image.symbolAddress(index), addend));
  });
}

/**
 * Copies keep calling each other. Otherwise glibc would bind their unbound functions to the shims that now precede
 * them, and a copy of libGL would continue in the host's libGLdispatch what it began in its own.
 */
function bindAmongCopies(
  image: LoadedImage,
  inOrder: readonly LoadedObject[],
  copies: readonly LoadedObject[],
  patch: Patch,
): void {
  eachBoundSlot(image, "calls", (_value, at, _addend, symbol) => {
    if (symbol === 0) return;
    const name = image.symbols.nameOf(image.symbols.at(symbol));
    const version = image.versionOf(symbol);
    const owner = inOrder.find((object) => object.image.findReferenced(name, version) !== undefined);
    const index = owner && copies.includes(owner) ? owner.image.findReferenced(name, version) : undefined;
    if (!owner || index === undefined) return;
    // Only its resolver knows an IFUNC's address; glibc has already called it where the address was needed.
    if (typeOf(owner.image.symbols.at(index)) === STT_GNU_IFUNC) return;
    patch.setPointer(image.addressOf(at), owner.image.symbolAddress(index));
  });
}
