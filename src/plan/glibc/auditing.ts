// LD_AUDIT: other tools' auditors, and the auditor of a launch, by which ld.so finds isolated libraries regardless of
// the rest of the environment (agent/code/auditor.ts).
//
// Before glibc 2.32, dlmopen dereferences NULL in a process with an auditor, so nothing can be isolated there. Before
// 2.35, every call of a lazily bound function goes through ld.so in such a process. So ours withdraws from processes
// with an older glibc.

import { join } from "node:path";
import { compareVersions } from "../../../lib/elf/glibc-version.ts";
import type { Version } from "../../../lib/tree/glibc.ts";
import { AUDITOR_DIRECTORY } from "../../directories/library-path.ts";
import type { Environment } from "../../settings/layer.ts";
import { versionOf } from "./choice.ts";

export const AUDITORS = "LD_AUDIT";
/** ld.so replaces it with "x86_64", "i686", … */
const PLATFORM = "$PLATFORM";

export const auditorObject = (platform: string): string => `libcapsule-audit-${platform}.so`;

/** The interface version that la_version gets, and the glibc that introduced it. */
export const INTERFACE: { readonly version: number; readonly since: Version } = { version: 2, since: [2, 35] };

const FIRST_SOUND: Version = [2, 32];

/** The launch's own entry in LD_AUDIT. */
const auditorIn = (libraries: string): string => join(libraries, AUDITOR_DIRECTORY, auditorObject(PLATFORM));

/** The auditors in a value of LD_AUDIT that do not belong to a launch. */
export const othersAuditors = (value: string | undefined): string[] =>
  (value ?? "").split(":").filter((path) => path !== "" && !path.endsWith(`/${auditorObject(PLATFORM)}`));

/** The value with this launch's auditor last, and without any other launch's. */
export const withAuditor = (value: string | undefined, libraries: string): string =>
  [...othersAuditors(value), auditorIn(libraries)].join(":");

/** Does a value contain that launch's auditor? */
export const hasAuditor = (value: string, libraries: string): boolean =>
  value.split(":").includes(auditorIn(libraries));

/** Does a launch's auditor stay in processes with that glibc? */
export const canBeAudited = ({ version }: { readonly version: string }): boolean =>
  compareVersions(versionOf({ version }), INTERFACE.since) >= 0;

/** Why a process with these variables cannot have isolated libraries on that glibc; undefined if it can. */
export function faultOfAuditors(variables: Environment, glibc: Version): string | undefined {
  if (othersAuditors(variables[AUDITORS]).length === 0 || compareVersions(glibc, FIRST_SOUND) >= 0) return undefined;
  return `${AUDITORS} is set, and before 2.32 glibc crashes when a namespace is made under it`;
}
