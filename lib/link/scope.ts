// Where an object's references are looked up: in all objects, breadth first, which is link map order; with DT_SYMBOLIC,
// in the object itself first. ld.so ignores it for the program, which is first anyway (elf/dl-load.c, glibc 2.36).

import { DF_SYMBOLIC, DT_FLAGS, DT_SYMBOLIC } from "../elf/constants.ts";
import type { LinkObject } from "./objects.ts";

/** In search order. */
export type Scope = readonly LinkObject[];

export function scopeOf(object: LinkObject, objects: readonly LinkObject[]): Scope {
  return object.index > 0 && isSymbolic(object) ? [object, ...objects] : objects;
}

function isSymbolic({ image: { dynamic } }: LinkObject): boolean {
  return dynamic.get(DT_SYMBOLIC) !== undefined || ((dynamic.get(DT_FLAGS) ?? 0) & DF_SYMBOLIC) !== 0;
}
