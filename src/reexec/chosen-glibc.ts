// Runs in-process on another glibc than the kernel would give Bun: this command is started over by the name of that
// glibc's ld.so, with a directory of links to the glibc's files first on its library path. The same is done for a
// program whose libraries are in a tree of its own.

import { findMapping, readMaps } from "../../lib/memory/maps.ts";
import type { Libc } from "../../lib/process/libc.ts";
import type { Search } from "../../lib/tree/search.ts";
import type { Trace } from "../diagnostics/trace.ts";
import { AUDITORS, othersAuditors } from "../plan/glibc/auditing.ts";
import { machineGlibc, type OwnGlibc } from "../plan/glibc/choice.ts";
import { processGlibcOf } from "../plan/glibc/process-glibc.ts";
import type { ExecOptions } from "../plan/plan.ts";
import { searchesOf, type Trees } from "../plan/trees.ts";
import { KeptDirectories } from "./kept-directories.ts";
import { type Command, reexec, throughOf } from "./reexec.ts";
import { runtimePath } from "./runtime-path.ts";
import { missingSettings } from "./start-again.ts";
import { toReexecCache } from "./to-cache.ts";

/** The glibc that the kernel would start this process with, and the one that it runs on. */
export function ownGlibc(libc: Libc, machine: Search): OwnGlibc {
  const path = findMapping(readMaps("self"), libc.symbols.mustFind("gnu_get_libc_version"))?.path ?? "";
  if (throughOf() === undefined) return { path, version: libc.version };
  return { ...machineGlibc(machine), current: path };
}

/** Starts over without the auditor of an outer launch, which this process's ld.so obeys. */
export function leaveOuterAuditor(libc: Libc, command: Command, trace: Trace): void {
  const value = process.env[AUDITORS];
  const others = othersAuditors(value).join(":");
  if (!value || value === others) return;
  trace.log("plan", () => "starting over without the auditor of the capsule outside");
  reexec(libc.exec, command, { environment: new Map([[AUDITORS, others || undefined]]) });
}

/** Starts over if Bun lacks settings that it reads when it starts. */
export function ensureSettings(libc: Libc, command: Command, trace: Trace): void {
  const environment = missingSettings();
  if (environment.size === 0) return;
  trace.log("plan", () => "starting over with Bun's settings for a program in-process");
  reexec(libc.exec, command, { environment });
}

/**
 * Starts over if this process does not run on the chosen glibc, or would not find the runtime's libraries. Throws what
 * writing throws.
 */
export function ensureGlibc(libc: Libc, command: Command, options: ExecOptions, trees: Trees, trace: Trace): void {
  const { glibc, runtime, machine, store } = trees;
  const before = throughOf();
  // It keeps its library path if its libc is the chosen one and no other runtime is used.
  if (before && glibc.isOwn && runtime === machine) return;
  const kept = new KeptDirectories(store.file, libc.system);
  const own = runtimePath(trees, options, kept, trace);
  const chosen = glibc.isNatural && own.length === 0 ? undefined : glibc.glibc;
  const path = chosen && libraryPath(trees, own, kept);
  if (before?.path === path && glibc.isOwn) return;
  // What was kept may be outdated; what was just determined is not.
  const attempt = (before?.attempt ?? 0) + 1;
  if (attempt > ATTEMPTS)
    throw new Error(
      `Cannot start over on glibc ${glibc.version} ("${glibc.path}"): this process runs on ${libc.version} all the same`,
    );
  trace.log("plan", () => `starting over by ${chosen?.loader ?? "the machine's ld.so"}`);
  if (!chosen || path === undefined) reexec(libc.exec, command, { environment: new Map(), through: "none" });
  const { loader, takesArgv0, characterSets } = chosen;
  const program = command.through?.program ?? process.execPath;
  const through = { loader, path, takesArgv0, characterSets, program, attempt };
  if (attempt === 1) toReexecCache(store.file, through, options.settingsFiles);
  reexec(libc.exec, command, { environment: new Map(), through });
}

/** The first by what was kept, the second by the plan. */
const ATTEMPTS = 2;

/** The chosen glibc's files, then what the user has set, then the runtime's directories. */
function libraryPath(trees: Trees, own: readonly string[], kept: KeptDirectories): string {
  const links = kept.with("glibc", { links: processGlibcOf(searchesOf(trees), trees.glibc).shared });
  return [links, process.env.LD_LIBRARY_PATH, ...own].filter(Boolean).join(":");
}

/** For a process that was started over: the runtime's directories on its library path, after the user's. */
export function directoriesBehind(): string[] {
  const [, ...list] = throughOf()?.path.split(":") ?? [];
  const given = process.env.LD_LIBRARY_PATH || undefined;
  return list.slice(given?.split(":").length ?? 0);
}
