// Puts into a serving directory what the programs that are served find there, and what
// their server has to know.

import { dirname, join } from "node:path";
import type { Search } from "../../lib/tree/search.ts";
import type { Trace } from "../diagnostics/trace.ts";
import type { Footing, Mounts } from "../plan/glibc/footing.ts";
import type { AttachedCapsule } from "../plan/plan.ts";
import { agentObject, makeNonce } from "./agent-object.ts";
import { placeAuditor } from "./auditor.ts";
import { placeDetours } from "./detours.ts";
import type { LaunchFile } from "./launch-file.ts";
import type { ServingDirectory } from "./serving-directory.ts";
import { Shelf } from "./shelf.ts";
import { AGENT, placeShims, type ShimHost } from "./shims.ts";

interface Offer {
  readonly runtime: Search;
  readonly capsules: readonly (Omit<AttachedCapsule, "libraries" | "named"> & ShimHost)[];
  readonly footing: Footing;
  /** LD_AUDIT leads to an auditor: see canBeAudited(). */
  readonly isAudited: boolean;
  /** What is in another file's place for those that are served. */
  readonly mounts?: Mounts;
}

/** Throws what writing throws. */
export function furnish(
  directory: ServingDirectory,
  { runtime, capsules, footing, isAudited, mounts }: Offer,
  { pid, program, isAwaited }: Pick<LaunchFile, "pid" | "program" | "isAwaited">,
  trace: Trace,
): void {
  const { store } = runtime;
  const shelf =
    store.file === undefined ? undefined : Shelf.open(join(dirname(store.file), "shims"), directory.system, trace);
  placeShims(directory.libraries, capsules, shelf, runtime, trace);
  const nonce = makeNonce();
  const agent = agentObject(directory.path, nonce);
  directory.putLibrary(AGENT, agent.bytes);
  let detours: ReadonlyMap<string, string> = new Map();
  if (footing.starter) detours = placeDetours(directory, footing.shared, footing.starter, store.file);
  else directory.linkLibraries(footing.shared);
  if (isAudited) placeAuditor(directory, detours, agent.auditedAt);
  // Found out once, kept for the next run.
  const unsaved = store.save();
  if (unsaved !== undefined) trace.tell("plan", () => `the store of libraries was not written: ${unsaved}`);
  const [first, second] = nonce;
  directory.tell({
    capsules: capsules.map(({ search, ownership, isolated, environment, hooks, ahead }) => ({
      root: search.tree.root,
      layout: search.layout,
      isolated,
      newest: ownership.newest,
      others: [...ownership.others],
      environment,
      hooks,
      ahead,
    })),
    libraryPath: runtime.libraryDirectories,
    runtime: runtime.tree.root,
    mounts: [...(mounts ?? [])],
    store: store.file,
    trace: trace.categories,
    events: trace.events ? (trace.events.hasBindings ? "with bindings" : "all") : "none",
    pid,
    program,
    isAwaited,
    nonce: [`${first}`, `${second}`],
  });
}
