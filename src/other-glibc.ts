// A run in-process on another glibc than the one that the kernel finds for Bun: this
// command is started over, once, by the name of that glibc's ld.so, with a directory of
// links to all that belongs to it in front of its library path. So is one whose
// program has its libraries in a tree of its own.

import { LinkError } from "../lib/loader/error.ts";
import type { Libc } from "../lib/loader/libc.ts";
import { findMapping, readMaps } from "../lib/memory/maps.ts";
import { canBeOnPath } from "./attached/serving-directory.ts";
import type { ChosenGlibc, OwnGlibc } from "./glibc-choice.ts";
import { type ExecOptions, sharedMembers } from "./plan.ts";
import { PrivateDirectory } from "./private-directory.ts";
import { type Command, formerVariables, restart, throughOf } from "./restart.ts";
import { runtimePath } from "./runtime-path.ts";
import type { Trace } from "./trace.ts";
import type { Trees } from "./trees.ts";

/** What a process that has been started over is told: its private directory. */
const DIRECTORY = "CAPSULE_DIRECTORY";

/** The glibc on which this process runs. */
export function ownGlibc(libc: Libc): OwnGlibc {
  const path = findMapping(readMaps("self"), libc.mustFindSymbol("gnu_get_libc_version"))?.path ?? "";
  return { path, version: libc.version, isOther: throughOf() !== undefined };
}

/** The directory that this process has made before it was started over, if it was. */
export function formerDirectory(libc: Libc): PrivateDirectory | undefined {
  const path = formerVariables().has(DIRECTORY) ? process.env[DIRECTORY] : undefined;
  return path === undefined ? undefined : PrivateDirectory.adopt(libc, path);
}

/** Starts over where this process does not run on the glibc that was chosen, or would not find the runtime's libraries. Throws what writing throws. */
export function ensureGlibc(
  libc: Libc,
  command: Command,
  options: ExecOptions,
  trees: Trees,
  before: PrivateDirectory | undefined,
  trace: Trace,
): void {
  const { glibc, runtime } = trees;
  if (before !== undefined && glibc.isOwn) return;
  if (before !== undefined) throw stuck(glibc, libc);
  const isElsewhere = runtime.tree.root !== "";
  if (glibc.isOwn && !isElsewhere) return;
  const chosen = glibc.glibc;
  if (!chosen) throw stuck(glibc, libc);
  const directory = PrivateDirectory.make(libc);
  try {
    if (!canBeOnPath(directory.path))
      throw new LinkError(
        `Cannot use "${directory.path}": --library-path has no place for a name with a colon, a semicolon or a dollar sign (TMPDIR says which directory to use)`,
        { object: directory.path },
      );
    const links = directory.link("base", sharedMembers(trees));
    const own = isElsewhere ? runtimePath(trees, options, (found) => directory.link("runtime", found), trace) : [];
    const path = [links, process.env.LD_LIBRARY_PATH, ...own].filter(Boolean).join(":");
    trace.tell("plan", () => `starting over by ${chosen.loader}`);
    const { characterSets } = chosen;
    restart(libc, command, {
      environment: new Map([
        [DIRECTORY, directory.path],
        ...(characterSets === undefined || process.env[CHARACTER_SETS] !== undefined
          ? []
          : [[CHARACTER_SETS, characterSets] as const]),
      ]),
      through: { loader: chosen.loader, path, takesArgv0: chosen.takesArgv0, program: process.execPath },
    });
  } catch (error) {
    directory.remove();
    throw error;
  }
}

/** Of a process that has been started over: the runtime's directories on its library path, behind the user's. */
export function directoriesBehind(): string[] {
  const [, ...list] = throughOf()?.path.split(":") ?? [];
  const given = process.env.LD_LIBRARY_PATH || undefined;
  return list.slice(given?.split(":").length ?? 0);
}

/** Where libc looks for character sets; it asks once, at the first conversion. */
const CHARACTER_SETS = "GCONV_PATH";

const stuck = ({ version, path }: ChosenGlibc, { version: own }: Libc): Error =>
  new Error(`Cannot start over on glibc ${version} ("${path}"): this process runs on ${own} all the same`);

/** Has libc read where its character sets are, while the variable is there that says it: what the program starts may have another libc. */
export function settleCharacterSets(libc: Libc): void {
  if (formerVariables().has(CHARACTER_SETS)) libc.findCharacterSets();
}
