// LD_AUDIT. Before glibc 2.32 any dlmopen dereferences NULL in a process that is watched by
// an auditor, so nothing can be isolated there.

import { compareVersions } from "../../lib/elf/glibc-version.ts";
import type { Version } from "../../lib/tree/glibc.ts";

export const AUDITORS = "LD_AUDIT";

const FIRST_SOUND: Version = [2, 32];

/** Why a process with these variables cannot have isolated libraries on that glibc; undefined where it can. */
export function faultOfAuditors(
  variables: Readonly<Record<string, string | undefined>>,
  glibc: Version,
): string | undefined {
  if (!variables[AUDITORS] || compareVersions(glibc, FIRST_SOUND) >= 0) return undefined;
  return `${AUDITORS} is set, and before 2.32 glibc crashes when a namespace is made under it`;
}
