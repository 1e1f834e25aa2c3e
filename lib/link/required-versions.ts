// Whether every version that somebody needs is there (glibc 2.36, elf/dl-version.c), before
// any symbol is looked up: a library that is too old is told of as such.

import { LinkError } from "../link-error.ts";
import type { OpenObject } from "./objects.ts";

/**
 * Throws LinkError for the first one that is missing. A library without any versions has them all, as far as ld.so
 * goes.
 */
export function checkVersions(objects: readonly OpenObject[]): void {
  for (const { image, path, needs } of objects) {
    for (const { file, name, isWeak } of image.verneeds) {
      if (isWeak) continue;
      const definer = definerOf(objects, file, needs);
      if (!definer) continue;
      const versions = definer.image.verdefs;
      if (versions.length === 0 || versions.some((version) => version.name === name)) continue;
      throw new LinkError(
        `Cannot link "${path}": it needs version "${name}" of "${file}", which "${definer.path}" does not define`,
        { object: path, version: name, tried: versions.map((version) => version.name) },
      );
    }
  }
}

/** By the name in DT_NEEDED or by soname, and first among those that it needs itself. */
function definerOf(objects: readonly OpenObject[], file: string, needs: readonly number[]): OpenObject | undefined {
  const goesBy = ({ name, library }: OpenObject): boolean => name === file || library.soname === file;
  return needs.map((index) => objects[index]).find((needed) => needed && goesBy(needed)) ?? objects.find(goesBy);
}
