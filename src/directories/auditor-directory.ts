// What LD_AUDIT names, among the libraries of a launch:
//
//   audit              a link to one of these
//   auditors/          the launch's
//   idle-auditors/     of an in-process program while no server answers what it starts: they do nothing
//
// Each has one object for each platform that ld.so may put into that path (server/auditor.ts).

import { renameSync, symlinkSync } from "node:fs";
import { join } from "node:path";

export const AUDITOR_DIRECTORY = "audit";
export const [LAUNCH_AUDITORS, IDLE_AUDITORS] = ["auditors", "idle-auditors"] as const;

/** The link is never missing, as a program may start at any time. Throws what making it throws. */
export function leadToAuditors(libraries: string, directory: string): void {
  const fresh = join(libraries, `${AUDITOR_DIRECTORY}.new`);
  symlinkSync(directory, fresh);
  renameSync(fresh, join(libraries, AUDITOR_DIRECTORY));
}
