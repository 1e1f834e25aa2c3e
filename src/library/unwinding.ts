// Before glibc 2.35 the unwinder finds frames with dl_iterate_phdr, which shows the caller's own namespace. Bun's
// program calls no code placed here, so the slot of libgcc_s for that function is overwritten: each capsule adds its
// objects to those that the previous function shows. Capsules are closed in any order, so the code of a closed one may
// stay, and then adds nothing.

import { eachBoundSlot } from "../../lib/elf/bound-slots.ts";
import type { LoadedImage } from "../../lib/elf/loaded.ts";
import { dlmopen, LM_ID_BASE, linkMapOf, RTLD_LAZY } from "../../lib/loader/calls.ts";
import { LoadedObject } from "../../lib/loader/link-map.ts";
import type { Address } from "../../lib/memory/numbers.ts";
import type { Libc } from "../../lib/process/libc.ts";
import { Patch } from "../../lib/process/patch.ts";
import { pointerIn } from "../../lib/process/process.ts";
import { Assembler, addressOfLabel } from "../../lib/x86-64/assembler.ts";
import { emitIterateAlso } from "../agent/code/objects.ts";
import type { Linker } from "../passes/linkage.ts";
import { UNWINDER } from "../profiles/shared-set.ts";

const NAME = "dl_iterate_phdr";
/** By which newer unwinders find objects, in any namespace. */
const SUCCESSOR = "_dl_find_object";

/**
 * Shows the unwinder also what the function whose address is at `cell` shows, unless that is NULL. Returns what undoes
 * it; does nothing, and returns undefined, if the unwinder needs no help.
 */
export function showToUnwinder(linker: Linker, libc: Libc, cell: Address): (() => void) | undefined {
  if (linker.findSymbol(SUCCESSOR) !== undefined) return undefined;
  const unwinder = unwinderOf(linker, libc);
  const at = slotOf(unwinder);
  if (at === undefined) return undefined;
  const held = pointerIn(libc, at);
  // Lazily bound, the slot still points into libgcc_s until the first call.
  const before = unwinder.holds(held) ? linker.functions.dl_iterate_phdr : held;
  const to = new Assembler();
  emitIterateAlso(to, before, cell);
  const code = to.assemble();
  const page = libc.placeCode(code.bytes);
  const after = addressOfLabel(code, "iterate also", page);
  const write = (value: Address) => {
    const patch = new Patch();
    patch.setPointer(at, value);
    libc.run(patch.apply(libc));
  };
  write(after);
  return () => {
    if (pointerIn(libc, at) === after) write(before);
  };
}

function unwinderOf({ shared, sharedFile }: Pick<Linker, "shared" | "sharedFile">, libc: Libc): LoadedImage {
  let image = shared.get(UNWINDER);
  if (image) return image;
  const handle = libc.run(dlmopen(libc, LM_ID_BASE, sharedFile(UNWINDER), RTLD_LAZY));
  image = new LoadedObject(libc, libc.run(linkMapOf(libc, handle))).image;
  shared.set(UNWINDER, image);
  return image;
}

function slotOf(image: LoadedImage): Address | undefined {
  let found: Address | undefined;
  eachBoundSlot(image, "all", (_value, at, _addend, symbol) => {
    if (image.symbols.nameOf(image.symbols.at(symbol)) === NAME) found ??= image.addressOf(at);
  });
  return found;
}
