// LD_AUDIT: what others have there, and the auditor of a launch, by which ld.so finds isolated libraries whatever else is
// in the environment (agent/code/auditor.ts).
//
// Before glibc 2.32 any dlmopen dereferences NULL in a process that is watched by an auditor, so nothing can be isolated
// there. Before 2.35 every call of a function that is bound lazily takes a re-exec stub through ld.so then. So ours withdraws
// from a process with an older one.

import { join } from "node:path";
import { compareVersions } from "../../../lib/elf/glibc-version.ts";
import type { Version } from "../../../lib/tree/glibc.ts";
import { AUDITOR_DIRECTORY } from "../../directories/auditor-directory.ts";
import { versionOf } from "./choice.ts";

export const AUDITORS = "LD_AUDIT";
/** ld.so puts "x86_64", "i686", … there. */
const PLATFORM = "$PLATFORM";

export const auditorObject = (platform: string): string => `libcapsule-audit-${platform}.so`;

/** As la_version is told it since that version of glibc. */
export const INTERFACE: { readonly version: number; readonly since: Version } = { version: 2, since: [2, 35] };

const FIRST_SOUND: Version = [2, 32];

/** What is to be in LD_AUDIT for a launch's libraries. */
const auditorIn = (libraries: string): string => join(libraries, AUDITOR_DIRECTORY, auditorObject(PLATFORM));

/** Those of a value of LD_AUDIT that are not a launch's. */
export const othersAuditors = (value: string | undefined): string[] =>
  (value ?? "").split(":").filter((path) => path !== "" && !path.endsWith(`/${auditorObject(PLATFORM)}`));

/** The value with a launch's own behind the others, in the place of another launch's. */
export const withAuditor = (value: string | undefined, libraries: string): string =>
  [...othersAuditors(value), auditorIn(libraries)].join(":");

/** Has a value that launch's? */
export const hasAuditor = (value: string, libraries: string): boolean =>
  value.split(":").includes(auditorIn(libraries));

/** Does a launch's auditor stay in processes with that glibc? */
export const canBeAudited = ({ version }: { readonly version: string }): boolean =>
  compareVersions(versionOf({ version }), INTERFACE.since) >= 0;

/** Why a process with these variables cannot have isolated libraries on that glibc; undefined where it can. */
export function faultOfAuditors(
  variables: Readonly<Record<string, string | undefined>>,
  glibc: Version,
): string | undefined {
  if (othersAuditors(variables[AUDITORS]).length === 0 || compareVersions(glibc, FIRST_SOUND) >= 0) return undefined;
  return `${AUDITORS} is set, and before 2.32 glibc crashes when a namespace is made under it`;
}
