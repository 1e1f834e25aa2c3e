// Where a run keeps files: the temporary directory, from which libraries are loaded, and the cache, without which a run
// only takes longer.

import { accessSync, constants, lstatSync, realpathSync, statfsSync, statSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import type { System } from "../../lib/process/system.ts";
import { unlessRefused } from "../../lib/unless.ts";
import { inUnits } from "../diagnostics/units.ts";
import { canBeOnPath } from "../directories/library-path.ts";
import { isTrusted } from "../directories/trusted.ts";
import { type Finding, fine, hindrance, warning } from "./finding.ts";

/** Facts about a directory, or about the one in which it would be created. */
export interface DirectoryFacts {
  readonly path: string;
  /** Why it is not writable. Undefined if it is. */
  readonly fault: string | undefined;
  readonly isNoexec: boolean;
  /** In bytes. */
  readonly free: number;
  /** No other user can add or replace anything in it. */
  readonly isTrusted: boolean;
}

const FAULTS: Readonly<Record<string, string>> = {
  EACCES: "permission denied",
  EROFS: "it is read-only",
  ENOENT: "it is not there",
  ENOTDIR: "it is not a directory",
};

/** `mayBeMade` means that the directory is created if it is missing. */
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

/** Stands for a path that does not exist yet: it is created with this owner and mode. */
const OURS = { uid: process.getuid?.() ?? 0, mode: 0o40700 };

/** The real path of a path of which only a part exists. */
const realPath = (there: string, path: string): string =>
  join(unlessRefused(() => realpathSync(there)) ?? there, relative(there, path));

/** In bytes, for this user. Some overlay file systems report a size of 0, and 0 bytes free. */
function freeIn(path: string): number {
  const { bavail, bsize, blocks } = statfsSync(path);
  return blocks === 0 ? Number.POSITIVE_INFINITY : bavail * bsize;
}

function nearest(path: string): string {
  const isThere = unlessRefused(() => lstatSync(path)) !== undefined;
  return isThere || path === dirname(path) ? path : nearest(dirname(path));
}

/** In bytes. A run takes half of it. */
const NEEDED = 4 * 2 ** 20;
const ELSEWHERE = "TMPDIR says which directory to use: export TMPDIR=DIRECTORY";

/** `opened` is where others may replace what this user makes in it, if there is such a directory on the way. */
export function temporaryFindings(facts: DirectoryFacts, opened?: string): Finding[] {
  const { path, fault, isNoexec, free } = facts;
  const faults = [
    fault !== undefined && `cannot be written to: ${fault}`,
    isNoexec && "is on a file system that is mounted noexec: no library can be loaded from there",
    free < NEEDED && `has ${inUnits(free)} free, and a run needs ${inUnits(NEEDED)}`,
    !canBeOnPath(path) && "has a colon, a semicolon or a dollar sign in its name: no library path can have it",
  ].filter((text) => text !== false);
  const findings = faults.map((text) => hindrance("temporary-files", `"${path}" ${text}`, ELSEWHERE));
  if (opened !== undefined && findings.length === 0)
    findings.push(
      warning(
        "temporary-files",
        `"${path}" is not used, as others may replace what is in "${opened}": another directory is`,
        ELSEWHERE,
      ),
    );
  return findings.length > 0 ? findings : [fine("temporary-files", `"${path}", with ${sizeOf(free)} free`)];
}

/** `facts` is undefined if there is no home directory. */
export function cacheFinding(facts: DirectoryFacts | undefined): Finding {
  const slow = (text: string, advice: string) =>
    warning("cache", `${text}: every run reads all libraries anew`, advice);
  if (facts === undefined) return slow("there is no cache, as HOME is not set", "export HOME, or XDG_CACHE_HOME");
  const { path, fault, isNoexec, free } = facts;
  const elsewhere = "XDG_CACHE_HOME says which directory to use instead";
  if (fault !== undefined) return slow(`"${path}" cannot be written to (${fault})`, elsewhere);
  if (free < NEEDED) return slow(`"${path}" has ${inUnits(free)} free`, `make room there, or: ${elsewhere}`);
  const unused = (why: string) =>
    warning("cache", `"${path}" is not used for what is loaded, as ${why}`, `chmod go-w, or another one: ${elsewhere}`);
  if (isNoexec) return unused("its file system is mounted noexec");
  if (!facts.isTrusted) return unused("others may write to it, or to one above it");
  return fine("cache", `"${path}", with ${sizeOf(free)} free`);
}

const sizeOf = (free: number): string => (free === Number.POSITIVE_INFINITY ? "enough" : inUnits(free));
