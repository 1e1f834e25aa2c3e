// Which capsule a library of the program's side is isolated in, and what the capsule has open for it.

import { basename } from "node:path";
import type { LoadedObject } from "../../lib/loader/link-map.ts";
import type { Capsule } from "./linkage.ts";

/** The capsule whose copy of a library the program sees. */
export const capsuleOf = (capsules: readonly Capsule[], soname: string): Capsule | undefined =>
  capsules.find(({ isolated, ownership }) => isolated.includes(soname) && !ownership.isShared(soname));

/** The library that the tree has by that soname, if it is open in the capsule. */
export const findOpened = ({ search, opened }: Capsule, soname: string): LoadedObject | undefined =>
  opened.get(search.find(soname, undefined)?.path ?? "");

/** Whether an object of the program's side is a shim or a copy of an isolated library. */
export const isStandIn = (capsules: readonly Capsule[], object: LoadedObject): boolean =>
  object.path !== "" && !object.isVdso && capsuleOf(capsules, object.image.soname ?? "") !== undefined;

/**
 * The isolated library, by its soname, that an object of the program's side is a copy of, judged by the file's soname
 * or by its file name, under which programs look for it.
 */
export function standsFor(
  capsules: readonly Capsule[],
  { soname, path }: { readonly soname: string | undefined; readonly path: string },
): { capsule: Capsule; soname: string } | undefined {
  for (const name of [soname ?? "", basename(path)]) {
    const capsule = capsuleOf(capsules, name);
    if (capsule) return { capsule, soname: name };
  }
  return undefined;
}
