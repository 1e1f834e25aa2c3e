// Where files of a run are kept: the directory for temporary files, from which
// libraries are loaded, and the cache, without which a run only takes longer.

import { accessSync, constants, lstatSync, realpathSync, statfsSync, statSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import type { System } from "../../lib/process/system.ts";
import { unlessRefused } from "../../lib/system-error.ts";
import { inUnits } from "../diagnostics/units.ts";
import { canBeOnPath } from "../directories/library-path.ts";
import { isTrusted } from "../directories/trusted.ts";
import { type Finding, fine, hindrance, warning } from "./finding.ts";

/** What is known of a directory, or of the one in which it would be made. */
export interface DirectoryFacts {
  readonly path: string;
  /** Why nothing can be written there; undefined where it can. */
  readonly fault: string | undefined;
  readonly isNoexec: boolean;
  /** In bytes. */
  readonly free: number;
  /** Nobody else can put anything there, or anything else in its place. */
  readonly isTrusted: boolean;
}

const FAULTS: Readonly<Record<string, string>> = {
  EACCES: "permission denied",
  EROFS: "it is read-only",
  ENOENT: "it is not there",
  ENOTDIR: "it is not a directory",
};

/** Asks the system. `mayBeMade` says that it is made where it is missing. */
export function directoryFacts(path: string, mayBeMade: boolean, system: System): DirectoryFacts {
  const there = mayBeMade ? nearest(path) : path;
  let fault: string | undefined;
  unlessRefused(
    () => {
      if (!statSync(there).isDirectory()) fault = FAULTS.ENOTDIR;
      accessSync(there, constants.W_OK | constants.X_OK);
    },
    ({ code = "" }) => {
      fault ??= FAULTS[code] ?? code;
    },
  );
  return {
    path,
    fault,
    isNoexec: unlessRefused(() => system.isNoexec(there)) ?? false,
    free: unlessRefused(() => freeIn(there)) ?? Number.POSITIVE_INFINITY,
    isTrusted: isTrusted(realPath(there, path), (name) => unlessRefused(() => lstatSync(name)) ?? OURS),
  };
}

/** What is not there yet is made so. */
const OURS = { uid: process.getuid?.() ?? 0, mode: 0o40700 };

/** Of a path, of which a part is there: without links. */
const realPath = (there: string, path: string): string =>
  join(unlessRefused(() => realpathSync(there)) ?? there, relative(there, path));

/** For this user, in bytes. A file system without a size (overlays of some kinds) says 0 of 0. */
function freeIn(path: string): number {
  const { bavail, bsize, blocks } = statfsSync(path);
  return blocks === 0 ? Number.POSITIVE_INFINITY : bavail * bsize;
}

function nearest(path: string): string {
  const isThere = unlessRefused(() => lstatSync(path)) !== undefined;
  return isThere || path === dirname(path) ? path : nearest(dirname(path));
}

/** In bytes: a run takes half of it. */
const NEEDED = 4 * 2 ** 20;
const ELSEWHERE = "TMPDIR says which directory to use: export TMPDIR=DIRECTORY";

/**
 * `owned` is the directory of this user's in it, where it is not this user's own: `isForeign` where somebody else has
 * it.
 */
export function temporaryFindings(facts: DirectoryFacts, owned?: { path: string; isForeign: boolean }): Finding[] {
  const { path, fault, isNoexec, free } = facts;
  const bad = (text: string, advice = ELSEWHERE) => hindrance("temporary-files", `"${path}" ${text}`, advice);
  const findings: Finding[] = [];
  if (fault !== undefined) findings.push(bad(`cannot be written to: ${fault}`));
  if (isNoexec) findings.push(bad("is on a file system that is mounted noexec: no library can be loaded from there"));
  if (free < NEEDED) findings.push(bad(`has ${inUnits(free)} free, and a run needs ${inUnits(NEEDED)}`));
  if (!canBeOnPath(path))
    findings.push(bad("has a colon, a semicolon or a dollar sign in its name: no library path can have it"));
  if (owned?.isForeign)
    findings.push(
      bad(`has a "${owned.path}" of somebody else's, or that others may write to`, `remove it, or: ${ELSEWHERE}`),
    );
  return findings.length > 0 ? findings : [fine("temporary-files", `"${path}", with ${sizeOf(free)} free`)];
}

/** `facts` are undefined where there is no home directory. */
export function cacheFindings(facts: DirectoryFacts | undefined): Finding[] {
  const slow = (text: string, advice: string) =>
    warning("cache", `${text}: every run reads all libraries anew`, advice);
  if (facts === undefined) return [slow("there is no cache, as HOME is not set", "export HOME, or XDG_CACHE_HOME")];
  const { path, fault, isNoexec, free } = facts;
  const elsewhere = "XDG_CACHE_HOME says which directory to use instead";
  if (fault !== undefined) return [slow(`"${path}" cannot be written to (${fault})`, elsewhere)];
  if (free < NEEDED) return [slow(`"${path}" has ${inUnits(free)} free`, `make room there, or: ${elsewhere}`)];
  const unusable = isNoexec
    ? "its file system is mounted noexec"
    : facts.isTrusted
      ? undefined
      : "others may write to it, or to one above it";
  if (unusable !== undefined)
    return [
      warning(
        "cache",
        `"${path}" is not used for what is loaded, as ${unusable}`,
        `chmod go-w, or another one: ${elsewhere}`,
      ),
    ];
  return [fine("cache", `"${path}", with ${sizeOf(free)} free`)];
}

const sizeOf = (free: number): string => (free === Number.POSITIVE_INFINITY ? "enough" : inUnits(free));
