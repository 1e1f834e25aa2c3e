// Checks that every required version exists (glibc 2.36, elf/dl-version.c) before any symbol is looked up, so that a
// library that is too old is reported as such.

import { findMissingVersion } from "../elf/undefined.ts";
import { LinkError } from "../link-error.ts";
import type { OpenObject } from "./objects.ts";

/** Throws LinkError for the first missing version. A library without any versions passes, as in ld.so. */
export function checkVersions(objects: readonly OpenObject[]): void {
  for (const { image, path, needs } of objects) {
    const missing = findMissingVersion(image, (file) => definerOf(objects, file, needs)?.image);
    if (!missing) continue;
    const { definer, file, version } = missing;
    throw new LinkError(
      `Cannot link "${path}": it needs version "${version}" of "${file}", which "${definer.path}" does not define`,
      { object: path, version, tried: definer.verdefs.map(({ name }) => name) },
    );
  }
}

/** Matches the DT_NEEDED name or the soname; direct dependencies first. */
function definerOf(objects: readonly OpenObject[], file: string, needs: readonly number[]): OpenObject | undefined {
  const goesBy = ({ name, library }: OpenObject): boolean => name === file || library.soname === file;
  return needs.map((index) => objects[index]).find((needed) => needed && goesBy(needed)) ?? objects.find(goesBy);
}
