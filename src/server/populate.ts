// Fills a serving directory with what the served programs find there and what their server needs to know.

import { LIBC, LIBDL } from "../../lib/tree/glibc-names.ts";
import type { LibraryStore } from "../../lib/tree/library-store.ts";
import type { Search } from "../../lib/tree/search.ts";
import type { Trace } from "../diagnostics/trace.ts";
import type { Mounts, ProcessGlibc } from "../plan/glibc/process-glibc.ts";
import { dataOf } from "../plan/host-tree.ts";
import { KeptDirectories } from "../reexec/kept-directories.ts";
import { makeNonce } from "./agent-object.ts";
import { auditedNames, placeAuditor, type ReexecFiles } from "./auditor.ts";
import type { LaunchFile } from "./launch-file.ts";
import { launchObjects } from "./launch-objects.ts";
import { PlaceholderCache } from "./placeholder-cache.ts";
import { chosenFiles, keepFamily, olderThan, placeReexecStubs } from "./reexec-stubs.ts";
import type { ServingDirectory } from "./serving-directory.ts";
import { AGENT, placeShims, type ShownTree } from "./shims.ts";

interface Offer {
  readonly runtime: Search;
  readonly capsules: readonly ShownTree[];
  readonly processGlibc: ProcessGlibc;
  /** The glibc for processes that bring an older libc of their own; undefined where they are left alone. */
  readonly older: ProcessGlibc | undefined;
  /** LD_AUDIT leads to an auditor: see canBeAudited(). */
  readonly isAudited: boolean;
  /** How much static thread-local data the hosts' libraries may need, in bytes. */
  readonly staticTls?: number;
  /** Files that the served programs see in place of others. */
  readonly mounts?: Mounts;
  /** Where this launch keeps what starts processes over. Default: looked up anew. */
  readonly kept?: KeptDirectories;
}

/** Throws what writing throws. */
export function populate(
  directory: ServingDirectory,
  { runtime, capsules, processGlibc, older, isAudited, staticTls = 0, mounts, kept }: Offer,
  { pid, program, isAwaited }: Pick<LaunchFile, "pid" | "program" | "isAwaited">,
  trace: Trace,
): void {
  const { store } = runtime;
  const placeholderCache = PlaceholderCache.at(store, directory.system, trace);
  placeShims(directory.libraries, capsules, placeholderCache, runtime, trace);
  const nonce = makeNonce();
  const reexecFiles = placeReexecFiles(directory, processGlibc, older, store, kept);
  // libc first: it has to have seen its environment. Before glibc 2.34 dlopen is in libdl.so.2. On a newer glibc,
  // needing it would give a process with an older libc of its own the machine's libdl.
  const needed = isAudited ? [LIBC] : [LIBC, LIBDL];
  const audited = isAudited ? { ...reexecFiles, names: [...auditedNames(directory), AGENT], staticTls } : undefined;
  const objects = launchObjects(
    { directory: directory.path, nonce, owner: process.geteuid?.() ?? 0, needed, audited },
    placeholderCache,
  );
  directory.putLibrary(AGENT, objects.agent);
  if (objects.auditor) placeAuditor(directory, objects.auditor);
  // Keeps what was found out for the next run.
  const unsaved = store.save();
  if (unsaved !== undefined) trace.log("plan", () => `the store of libraries was not written: ${unsaved}`);
  const [first, second] = nonce;
  directory.tell({
    capsules: capsules.map(dataOf),
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

/** Places what starts processes over on another glibc: all of them, or those with an older libc. */
function placeReexecFiles(
  directory: ServingDirectory,
  { shared, starter }: ProcessGlibc,
  older: ProcessGlibc | undefined,
  store: LibraryStore,
  kept = new KeptDirectories(store.file, directory.system),
): ReexecFiles {
  if (starter) {
    const family = keepFamily(kept, shared, starter);
    placeReexecStubs(directory, family, kept);
    return { reexecStubs: family.files, chosen: chosenFiles(family, store) };
  }
  directory.linkLibraries(shared);
  // Among temporary files it would be left behind, for programs that are hardly ever run.
  if (!older?.starter || kept.placeInCache === undefined) return {};
  const family = keepFamily(kept, older.shared, older.starter);
  const chosen = chosenFiles(family, store);
  return chosen.length === 0 ? {} : { family: family.files, older: olderThan(family, store), chosen };
}
