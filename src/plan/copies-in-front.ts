// Copies of isolated libraries that ld.so finds before the shims, whatever the environment says.

import { ElfError } from "../../lib/elf/error.ts";
import { SystemFault, unless } from "../../lib/unless.ts";
import type { AttachedPlan } from "./plan.ts";
import { findUnlinked } from "./unlinked.ts";

/**
 * Tells of isolated libraries of which ld.so takes the program's own copy: DT_RPATH precedes LD_LIBRARY_PATH where no
 * auditor is asked first, and an unlinked program has another ld.so.
 */
export function copiesInFront(
  { runtime, capsules, isAudited }: Pick<AttachedPlan, "runtime" | "capsules" | "isAudited">,
  path: string,
): string[] {
  const unlinked = findUnlinked(path);
  if (unlinked) {
    const own = capsules.flatMap(({ isolated }) => isolated.filter((soname) => unlinked.needed.includes(soname)));
    return own.length === 0 ? [] : [`"${path}" gets its own ${own.join(", ")}, as it ${unlinked.why}`];
  }
  if (isAudited) return [];
  // Undefined for a script, or a file that can be executed but not read.
  const library = unless([ElfError, SystemFault], () => runtime.libraryAt(path));
  if (library?.rpath === undefined || library.runpath !== undefined) return [];
  return capsules.flatMap(({ isolated }) =>
    isolated.flatMap((soname) => {
      const found = runtime.find(soname, { library });
      if (!found?.why.startsWith("rpath of ")) return [];
      return [
        `"${path}" may get its own ${soname}, "${found.path}", as its DT_RPATH comes first (--mode in-process, if it can be hosted, does not mind)`,
      ];
    }),
  );
}
