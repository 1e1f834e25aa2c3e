// libgcc_s.so.1: a process has one, and of two the newer serves both sides.

import type { Found } from "../lib/tree/search.ts";
import { compareVersions, newestOf } from "../lib/tree/glibc-version.ts";
import type { Ownership } from "./ownership.ts";
import { UNWINDER } from "./shared-set.ts";
import type { Trace } from "./trace.ts";

/** The host's libgcc_s, where it is newer than the runtime's. */
export function newerUnwinder({ host, runtime }: Ownership, trace: Trace): Found | undefined {
  const theirs = host.find(UNWINDER, undefined);
  const ours = runtime.find(UNWINDER, undefined);
  if (!theirs || (ours && !isNewer(theirs, ours))) return undefined;
  trace.tell(
    "plan",
    () => `${UNWINDER}: the host's, ${theirs.path}, ${ours ? "newer than the runtime's" : "as the runtime has none"}`,
  );
  return theirs;
}

const isNewer = (one: Found, other: Found): boolean =>
  compareVersions(newestOf(one.library.versions, "GCC"), newestOf(other.library.versions, "GCC")) > 0;

/** The path of a host tree's, the newest of them, where that is newer than the runtime's. */
export function newestUnwinder(ownerships: readonly Ownership[], trace: Trace): string | undefined {
  const unwinders = ownerships.flatMap((ownership) => newerUnwinder(ownership, trace) ?? []);
  return unwinders.reduce<Found | undefined>((best, one) => (best && !isNewer(one, best) ? best : one), undefined)
    ?.path;
}
