// The state of a process before it is linked: placeholders, references to them, and objects that the program has
// copied.

import { ET_EXEC, SHN_UNDEF, STT_FUNC } from "../../lib/elf/constants.ts";
import { findReferencedAddress, type LoadedImage } from "../../lib/elf/loaded.ts";
import { type Sym, typeOf } from "../../lib/elf/sym.ts";
import type { LoadedObject } from "../../lib/loader/link-map.ts";
import type { Address } from "../../lib/memory/numbers.ts";
import type { Trace } from "../diagnostics/trace.ts";
import { standsFor } from "../passes/capsule-of.ts";
import { type Copy, copiedIn, findCopies } from "../passes/copy-objects.ts";
import type { Capsule } from "../passes/linkage.ts";
import type { Moved } from "../passes/redirect.ts";
import { scopeOf } from "../passes/scope-of.ts";
import { UNWINDER } from "../profiles/shared-set.ts";
import type { Attachment } from "./attachment.ts";
import { isFilled, isFilledCopy, slotOf } from "./fill.ts";

/** A shim that is not linked yet. */
export interface Placeholder {
  readonly object: LoadedObject;
  readonly soname: string;
  readonly capsule: Capsule;
  /** Not a shim but a copy that ld.so has found first: by a path in the program, or before our directory. */
  readonly isCopy: boolean;
}

export function findPlaceholders(attachment: Attachment): Placeholder[] {
  const { capsules, inWork, functions } = attachment;
  return attachment.objects().flatMap((object) => {
    if (inWork.has(object.linkMap)) return [];
    const there = standsFor(capsules, { soname: object.image.soname, path: object.path });
    if (!there) return [];
    const { capsule, soname } = there;
    const isCopy = !attachment.isOwn(object);
    if (isCopy ? isFilledCopy(object) : slotOf(object.image) === undefined || isFilled(object, functions.nothing))
      return [];
    return [{ object, soname, capsule, isCopy }];
  });
}

/** All but shims and glibc itself; the unwinder is included, since it asks for the loaded objects. */
export function isRedirected(attachment: Attachment, object: LoadedObject): boolean {
  if (attachment.isOwn(object) || object.isVdso) return false;
  const { shared } = attachment;
  return object.image.soname === UNWINDER || ![...shared.values()].some((image) => image.loadBias === object.loadBias);
}

/** What ld.so has copied to the program: from placeholders, and from the shared set. */
export function copiedBy(program: LoadedObject, objects: readonly LoadedObject[], trace: Trace): Copy[] {
  const { image } = program;
  const copied = copiedIn(image);
  if (copied.length === 0) return [];
  const [, ...libraries] = scopeOf(program, objects);
  return findCopies(image, copied, images(libraries), trace);
}

/**
 * Functions that have an entry in a program at a fixed address: an undefined symbol with a value, which natively takes
 * precedence over the function itself when its address is looked up.
 */
export function entriesOf(program: LoadedObject, objects: readonly LoadedObject[], moved: Moved): Map<number, Address> {
  const { image } = program;
  const entries = new Map<number, Address>();
  if (image.ehdr.e_type !== ET_EXEC) return entries;
  const [, ...libraries] = scopeOf(program, objects);
  for (let i = 1; i < image.symbols.length; i++) {
    const { st_shndx, st_value, st_info } = image.symbols.at(i);
    if (st_shndx !== SHN_UNDEF || st_value === 0 || typeOf({ st_info } as Sym) !== STT_FUNC) continue;
    const name = image.symbols.nameOf(image.symbols.at(i));
    const real = moved.get(findReferencedAddress(images(libraries), name, image.versionOf(i)) ?? 0);
    if (real !== undefined) entries.set(real, image.addressOf(st_value));
  }
  return entries;
}

export const images = (objects: readonly LoadedObject[]): LoadedImage[] => objects.map(({ image }) => image);
