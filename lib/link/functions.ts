// An object's initialization and termination functions (gABI, "Initialization and Termination Functions"), read from
// memory after relocation, when the arrays hold addresses. All functions here throw ElfError.

import * as elf from "../elf/constants.ts";
import { ElfError } from "../elf/error.ts";
import { readU64 } from "../memory/layout.ts";
import { type Address, add, toAddress, toVaddr } from "../memory/numbers.ts";
import type { LinkObject } from "./objects.ts";
import type { AddressSpace } from "./space.ts";

/** A function; `from` says where it is declared: `DT_INIT`, `DT_INIT_ARRAY[0]`. */
export interface ObjectFunction {
  readonly object: LinkObject;
  readonly address: Address;
  /**
   * The word that holds the address, which may depend on a pending call (StartStep); undefined if no word in memory
   * does.
   */
  readonly at: Address | undefined;
  readonly from: string;
}

/** In bytes; a file can claim as much as a segment's memory size. */
const LARGEST_ARRAY = 2 ** 24;
/** The end of user memory. */
const ADDRESS_LIMIT = 2 ** 47;

/**
 * All functions to call before the program is entered, in order. Each object's array is read when that object's turn
 * comes; `most` limits the functions per array, for callers that need only a part of the list.
 */
export function* allInitializers(
  space: AddressSpace,
  program: LinkObject,
  initialization: readonly LinkObject[],
  most = Number.POSITIVE_INFINITY,
) {
  yield* preinitializers(space, program, most);
  for (const object of initialization) yield* initializers(space, object, most);
}

/** All functions to call when the program has returned, in order; read like {@link allInitializers}. */
export function* allFinalizers(
  space: AddressSpace,
  initialization: readonly LinkObject[],
  most = Number.POSITIVE_INFINITY,
) {
  for (const object of initialization.toReversed()) yield* finalizers(space, object, most);
}

/** How many initializers and finalizers the files declare, without reading the arrays. */
export function functionCounts(
  program: LinkObject,
  initialization: readonly LinkObject[],
): { initializers: number; finalizers: number } {
  const inArray = ({ image: { dynamic } }: LinkObject, tag: number, sizeTag: number): number =>
    dynamic.get(tag) === undefined ? 0 : Math.floor((dynamic.get(sizeTag) ?? 0) / 8);
  const alone = ({ image: { dynamic } }: LinkObject, tag: number): number => (dynamic.get(tag) === undefined ? 0 : 1);
  let initializers = inArray(program, elf.DT_PREINIT_ARRAY, elf.DT_PREINIT_ARRAYSZ);
  let finalizers = 0;
  for (const object of initialization) {
    initializers += alone(object, elf.DT_INIT) + inArray(object, elf.DT_INIT_ARRAY, elf.DT_INIT_ARRAYSZ);
    finalizers += alone(object, elf.DT_FINI) + inArray(object, elf.DT_FINI_ARRAY, elf.DT_FINI_ARRAYSZ);
  }
  return { initializers, finalizers };
}

/** The program's, in order; they run before all constructors. A library's are ignored. */
export function preinitializers(space: AddressSpace, program: LinkObject, most?: number): ObjectFunction[] {
  return arrayOf(space, program, "DT_PREINIT_ARRAY", elf.DT_PREINIT_ARRAY, elf.DT_PREINIT_ARRAYSZ, most);
}

/** In order: DT_INIT, then DT_INIT_ARRAY. */
export function initializers(space: AddressSpace, object: LinkObject, most?: number): ObjectFunction[] {
  return [
    ...functionOf(object, "DT_INIT", elf.DT_INIT),
    ...arrayOf(space, object, "DT_INIT_ARRAY", elf.DT_INIT_ARRAY, elf.DT_INIT_ARRAYSZ, most),
  ];
}

/** In order: DT_FINI_ARRAY backwards, then DT_FINI. */
export function finalizers(space: AddressSpace, object: LinkObject, most?: number): ObjectFunction[] {
  return [
    ...arrayOf(space, object, "DT_FINI_ARRAY", elf.DT_FINI_ARRAY, elf.DT_FINI_ARRAYSZ, most, true),
    ...functionOf(object, "DT_FINI", elf.DT_FINI),
  ];
}

function functionOf(object: LinkObject, from: string, tag: number): ObjectFunction[] {
  const at = object.image.dynamic.get(tag);
  return at === undefined ? [] : [{ object, address: add(object.loadBias, at), at: undefined, from }];
}

/** `isBackwards` returns the array from its last function. */
function arrayOf(
  space: AddressSpace,
  object: LinkObject,
  from: string,
  tag: number,
  sizeTag: number,
  most = Number.POSITIVE_INFINITY,
  isBackwards = false,
): ObjectFunction[] {
  const { image, loadBias } = object;
  const at = image.dynamic.get(tag);
  const size = image.dynamic.get(sizeTag) ?? 0;
  if (at === undefined || size === 0) return [];
  if (size > LARGEST_ARRAY)
    throw new ElfError(image.path, "dynamic section", `${size} bytes are no array of functions`);
  const count = Math.floor(size / 8);
  const length = Math.min(count, most);
  const first = isBackwards ? count - length : 0;
  const start = add(loadBias, toVaddr(at + 8 * first));
  const view = space.read(start, 8 * length);
  const functions = Array.from({ length }, (_, i) => {
    const address = toAddress(readU64(view, 8 * i));
    if (!(address < ADDRESS_LIMIT)) throw new ElfError(image.path, `${from}[${first + i}]`, "it is no address");
    return { object, address, at: add(start, 8 * i), from: `${from}[${first + i}]` };
  });
  return isBackwards ? functions.reverse() : functions;
}
