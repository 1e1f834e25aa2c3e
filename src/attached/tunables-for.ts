// What the ld.so of an attached program has to be told in advance, since the host's libraries are loaded after startup:
// resources they need that are only available at startup.

import { ElfError } from "../../lib/elf/error.ts";
import type { Library } from "../../lib/elf/library.ts";
import type { Search } from "../../lib/tree/search.ts";
import { SystemFault, unless } from "../../lib/unless.ts";
import type { Trace } from "../diagnostics/trace.ts";
import type { ChosenGlibc } from "../plan/glibc/choice.ts";
import { TUNABLES, tunableIn, withTunable } from "../plan/glibc/tunables.ts";
import type { AttachedPlan } from "../plan/plan.ts";
import { withRoomForAttached, withRoomForAudited } from "../plan/static-tls.ts";
import { EXECUTABLE_STACK, wantingStacks } from "../plan/unhostable.ts";
import { isShared } from "../profiles/shared-set.ts";

/** The variable, if there is anything to set. The user's own settings stay. */
export function tunablesFor(
  { capsules, runtime, executed, isAudited }: Pick<AttachedPlan, "capsules" | "runtime" | "executed" | "isAudited">,
  glibc: ChosenGlibc,
  trace: Trace,
): ReadonlyMap<string, string> {
  const libraries = capsules.map((capsule) => capsule.libraries);
  const before = process.env[TUNABLES] ?? "";
  const forHosts = withRoomForAttached(libraries, before, trace);
  const withRoom = isAudited ? withRoomForAudited(needsOf(runtime, executed), forHosts) : forHosts;
  const [wanting] = wantingStacks(libraries.flat(), glibc);
  const { name, always } = EXECUTABLE_STACK;
  const isSet = tunableIn(before, name) !== undefined;
  if (wanting)
    trace.log(
      "plan",
      () => `executable stacks: ${wanting.path} wants them${isSet ? `, and ${name} is set already` : ""}`,
    );
  const after = wanting && !isSet ? withTunable(withRoom, name, always) : withRoom;
  return new Map(after === before ? [] : [[TUNABLES, after]]);
}

/**
 * The program's direct dependencies except glibc's own, which ld.so counts. None if it is not a program of this class.
 */
function needsOf(runtime: Search, executed: string): Library[] {
  const needs = unless([ElfError, SystemFault], () => {
    const library = runtime.libraryAt(executed);
    const found = library.needed.map((soname) => (isShared(soname) ? undefined : runtime.find(soname, { library })));
    return found.flatMap((one) => (one ? [one.library] : []));
  });
  return needs ?? [];
}
