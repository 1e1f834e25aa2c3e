// Checks that every required version exists (glibc 2.36, elf/dl-version.c) before any symbol is looked up, so that a
// library that is too old is reported as such.

import { LinkError } from "../link-error.ts";
import type { OpenObject } from "./objects.ts";

/** Throws LinkError for the first missing version. A library without any versions passes, as in ld.so. */
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

/** Matches the DT_NEEDED name or the soname; direct dependencies first. */
function definerOf(objects: readonly OpenObject[], file: string, needs: readonly number[]): OpenObject | undefined {
  const goesBy = ({ name, library }: OpenObject): boolean => name === file || library.soname === file;
  return needs.map((index) => objects[index]).find((needed) => needed && goesBy(needed)) ?? objects.find(goesBy);
}
