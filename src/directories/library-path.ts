// A launch's libraries: where they are in its directory, what LD_LIBRARY_PATH can contain, and what LD_AUDIT names:
//
//   audit              a link to one of these
//   auditors/          the launch's
//   idle-auditors/     of an in-process program while no server answers what it starts: they do nothing
//
// Each has one object for each platform that ld.so may put into that path (server/auditor.ts).

import { renameSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { makeFreshDirectory } from "../../lib/own-files.ts";

export const LIBRARIES = "lib";

/** What processes of a launch ask through, among the libraries: see server/door.ts. */
export const CHANNEL_FILE = `${LIBRARIES}/channel`;

/** The first directory on LD_LIBRARY_PATH, in a serving directory. */
export const librariesIn = (directory: string): string => join(directory, LIBRARIES);

/** Can LD_LIBRARY_PATH contain this directory? It has no quoting, and ld.so expands $LIB. */
export const canBeOnPath = (directory: string): boolean => !/[:;$]/.test(directory);

/**
 * Makes a directory of symbolic links at that path, atomically, from names and targets; an existing one has the same
 * content. Throws what writing throws.
 */
export function makeLinks(path: string, links: ReadonlyMap<string, string>): void {
  const fresh = makeFreshDirectory(`${path}.`);
  try {
    for (const [name, target] of links) symlinkSync(target, join(fresh, name));
    renameSync(fresh, path);
  } catch (error) {
    rmSync(fresh, { recursive: true, force: true });
    // Another process was faster.
    if (!["EEXIST", "ENOTEMPTY"].includes((error as NodeJS.ErrnoException).code ?? "")) throw error;
  }
}

export const AUDITOR_DIRECTORY = "audit";
export const [LAUNCH_AUDITORS, IDLE_AUDITORS] = ["auditors", "idle-auditors"] as const;

/** The link is never missing, as a program may start at any time. Throws what making it throws. */
export function leadToAuditors(libraries: string, directory: string): void {
  const fresh = join(libraries, `${AUDITOR_DIRECTORY}.new`);
  symlinkSync(directory, fresh);
  renameSync(fresh, join(libraries, AUDITOR_DIRECTORY));
}
