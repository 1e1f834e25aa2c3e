// What the ld.so of an attached program has to be told beforehand, as the host's
// libraries come when it runs already: what they want that is to be had at the start alone.

import type { ChosenGlibc } from "../glibc/choice.ts";
import { EXECUTABLE_STACK, wantingStacks } from "../plan/executable-stack.ts";
import type { AttachedPlan } from "../plan/plan.ts";
import { withRoomForAttached } from "../start-over/static-tls.ts";
import { TUNABLES, tunableIn, withTunable } from "../start-over/tunables.ts";
import type { Trace } from "../telling/trace.ts";

/** The variable, where there is something to tell. Settings of the user's own stay. */
export function tunablesFor(
  { capsules }: Pick<AttachedPlan, "capsules">,
  glibc: ChosenGlibc,
  trace: Trace,
): ReadonlyMap<string, string> {
  const libraries = capsules.map((capsule) => capsule.libraries);
  const before = process.env[TUNABLES] ?? "";
  const withRoom = withRoomForAttached(libraries, before, trace);
  const [wanting] = wantingStacks(libraries.flat(), glibc);
  const { name, always } = EXECUTABLE_STACK;
  const isSet = tunableIn(before, name) !== undefined;
  if (wanting)
    trace.tell(
      "plan",
      () => `executable stacks: ${wanting.path} wants them${isSet ? `, and ${name} is set already` : ""}`,
    );
  const after = wanting && !isSet ? withTunable(withRoom, name, always) : withRoom;
  return new Map(after === before ? [] : [[TUNABLES, after]]);
}
