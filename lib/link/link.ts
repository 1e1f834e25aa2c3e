// Links a program, one line per pass: the architecture of this directory. No code of the program runs here, and nothing
// outside the address space changes.

import { DF_1_INITFIRST } from "../elf/constants.ts";
import { dependenciesFirst } from "../tree/closure.ts";
import type { Search } from "../tree/search.ts";
import type { TlsDescriptors } from "./effects.ts";
import { Lookup } from "./lookup.ts";
import { mapObject } from "./map.ts";
import type { LinkObject, OpenObject, Placed } from "./objects.ts";
import { closeObjects, openObjects } from "./open.ts";
import { type Listener, relocate } from "./relocate.ts";
import type { StartStep } from "./relocation.ts";
import { checkVersions } from "./required-versions.ts";
import type { AddressSpace } from "./space.ts";
import { blocksOf, type TlsLayout } from "./tls.ts";

export interface LinkOptions extends Listener {
  /** Sonames or paths of libraries to load between the program and its dependencies (LD_PRELOAD). */
  readonly preload?: readonly string[];
  /** Without them, the first words of TLS descriptors stay unchanged. */
  readonly descriptors?: TlsDescriptors;
}

/** A program whose objects are mapped and relocated. Its files stay open until it is disposed of. */
export interface Linked extends Disposable {
  /** The link map: the program, then its dependencies, breadth first. Symbols are looked up in this order. */
  readonly objects: readonly LinkObject[];
  /** The order of constructors; the program is last. Destructors run in reverse. */
  readonly initialization: readonly LinkObject[];
  readonly tls: TlsLayout;
  /** Steps to execute, in order, before RELRO is protected (map.ts) and constructors run. */
  readonly steps: readonly StartStep[];
}

/** `program` is a path on this machine. Throws what open(2) throws, LinkError and ElfError. */
export function link(space: AddressSpace, search: Search, program: string, options: LinkOptions = {}): Linked {
  // All libraries are found, opened and checked before anything is mapped.
  const opened = openObjects(search, program, options.preload);
  try {
    checkVersions(opened);
    const { objects, tls } = placed(space, opened);
    // Dependencies come first: an object must have its final contents before the program copies from it.
    const order = relocation(objects);
    const steps: StartStep[] = [];
    const { descriptors } = options;
    const relocating = { space, objects, lookup: new Lookup(), descriptors, listener: options, steps };
    for (const object of order) relocate(relocating, object);
    return {
      objects,
      initialization: initialization(objects),
      tls,
      steps,
      [Symbol.dispose]: () => closeObjects(objects),
    };
  } catch (error) {
    closeObjects(opened);
    throw error;
  }
}

function placed(space: AddressSpace, opened: readonly OpenObject[]): { objects: LinkObject[]; tls: TlsLayout } {
  const mapped: (OpenObject & Placed)[] = opened.map((object) => ({ ...object, ...mapObject(space, object.image) }));
  const { blocks, layout } = blocksOf(mapped);
  return { objects: mapped.map((object, i) => ({ ...object, tls: blocks[i] })), tls: layout };
}

/**
 * Dependencies come before their dependents; in a cycle, ld.so's order applies. That is the reverse postorder of glibc
 * 2.35 and newer (elf/dl-sort-maps.c, glibc.rtld.dynamic_sort=2): depth first from the last object to the first,
 * visiting dependencies in DT_NEEDED order. The program is last, even if a library needs it.
 */
function relocation(objects: readonly LinkObject[]): LinkObject[] {
  const libraries = objects.slice(1).toReversed();
  const needsOf = ({ needs }: LinkObject) => needs.flatMap((index) => (index === 0 ? [] : (objects[index] ?? [])));
  return [...dependenciesFirst(libraries, needsOf), ...objects.slice(0, 1)];
}

/**
 * The order of constructors; destructors run in reverse. The last object with DF_1_INITFIRST goes before all others.
 */
function initialization(objects: readonly LinkObject[]): LinkObject[] {
  const first = objects.findLast(({ image }) => (image.flags1 & DF_1_INITFIRST) !== 0);
  const order = relocation(objects);
  return first ? [first, ...order.filter((object) => object !== first)] : order;
}
