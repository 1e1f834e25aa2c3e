// The functions that an object wants called (gABI, "Initialization and Termination
// Functions"), as they stand in memory after it has been relocated: the arrays hold addresses. All throw ElfError.

import {
  DT_FINI,
  DT_FINI_ARRAY,
  DT_FINI_ARRAYSZ,
  DT_INIT,
  DT_INIT_ARRAY,
  DT_INIT_ARRAYSZ,
  DT_PREINIT_ARRAY,
  DT_PREINIT_ARRAYSZ,
} from "../elf/constants.ts";
import { ElfError } from "../elf/error.ts";
import { readU64 } from "../memory/layout.ts";
import { type Address, add, toAddress, toVaddr } from "../memory/numbers.ts";
import type { LinkObject } from "./objects.ts";
import type { AddressSpace } from "./space.ts";

/** In bytes; a file can claim as much as a segment has in memory. */
const LARGEST_ARRAY = 2 ** 24;

/** Of the program, in order: before anybody's constructors. Those of a library count for nothing. */
export function preinitializers(space: AddressSpace, program: LinkObject): Address[] {
  return arrayOf(space, program, DT_PREINIT_ARRAY, DT_PREINIT_ARRAYSZ);
}

/** In order: DT_INIT, then DT_INIT_ARRAY. */
export function initializers(space: AddressSpace, object: LinkObject): Address[] {
  return [...functionOf(object, DT_INIT), ...arrayOf(space, object, DT_INIT_ARRAY, DT_INIT_ARRAYSZ)];
}

/** In order: DT_FINI_ARRAY backwards, then DT_FINI. */
export function finalizers(space: AddressSpace, object: LinkObject): Address[] {
  return [...arrayOf(space, object, DT_FINI_ARRAY, DT_FINI_ARRAYSZ).reverse(), ...functionOf(object, DT_FINI)];
}

function functionOf({ image, loadBias }: LinkObject, tag: number): Address[] {
  const at = image.dynamic.get(tag);
  return at === undefined ? [] : [add(loadBias, at)];
}

function arrayOf(space: AddressSpace, { image, loadBias }: LinkObject, tag: number, sizeTag: number): Address[] {
  const at = image.dynamic.get(tag);
  const size = image.dynamic.get(sizeTag) ?? 0;
  if (at === undefined || size === 0) return [];
  if (size > LARGEST_ARRAY)
    throw new ElfError(image.path, "dynamic section", `${size} bytes are no array of functions`);
  const view = space.read(add(loadBias, toVaddr(at)), size);
  return Array.from({ length: Math.floor(size / 8) }, (_, i) => toAddress(readU64(view, 8 * i)));
}
