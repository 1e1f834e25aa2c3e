// Programs that name their own ld.so (PT_INTERP) and bring the glibc that belongs to it, such as those of Nix, Guix and
// some AppImages. Replacing the machine's files does not affect them. So the chosen glibc replaces their files, too,
// unless these are newer: programs built for an older glibc run on it.

import { realpathSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { ElfError } from "../../../lib/elf/error.ts";
import { compareVersions } from "../../../lib/elf/glibc-version.ts";
import type { Library } from "../../../lib/elf/library.ts";
import { Glibc, type Version, versionOfLibc } from "../../../lib/tree/glibc.ts";
import { GLIBC, LIBC, LOADER } from "../../../lib/tree/glibc-names.ts";
import type { LibraryStore } from "../../../lib/tree/library-store.ts";
import { expand, type Search } from "../../../lib/tree/search.ts";
import { SystemFault, unless, unlessRefused } from "../../../lib/unless.ts";
import { EXIT, ProgramError } from "../../diagnostics/errors.ts";
import { runnerOf } from "../program.ts";
import { findUnlinked } from "../unlinked.ts";
import { type ChosenGlibc, runsOn, versionOf } from "./choice.ts";
import type { Mounts, ProcessGlibc } from "./process-glibc.ts";

export interface OwnInterpreter {
  /** The program, or a script's interpreter. */
  readonly program: Library;
  /** The ld.so, without symbolic links. */
  readonly loader: string;
  /** The glibc files that its search may find: paths without symbolic links, each with its soname. */
  readonly files: ReadonlyMap<string, string>;
  /** The libc among them; undefined if the program would use the machine's. */
  readonly libc: { readonly path: string; readonly version: Version } | undefined;
  /** Its DT_RPATH, which precedes everything that capsule can set, finds that libc. */
  readonly isFirst: boolean;
}

/** Undefined for a program that names the machine's ld.so, and if this cannot be determined. */
export function ownInterpreterOf(path: string, machine: Search): OwnInterpreter | undefined {
  const { store } = machine;
  const runner = runnerOf(path);
  const program = runner === undefined ? undefined : libraryAt(runner, store);
  if (program?.interpreter === undefined || findUnlinked(program.path)) return undefined;
  const { interpreter } = program;
  // The kernel resolves a relative path from the current directory.
  const loader = unlessRefused(() => realpathSync(resolve(interpreter)));
  if (loader === undefined || libraryAt(loader, store)?.soname !== LOADER) return undefined;
  const own = machine.find(LOADER, undefined)?.path;
  if (own !== undefined && store.identity(own) === store.identity(loader)) return undefined;
  const rpath = program.runpath === undefined ? directoriesIn(program.rpath, program, machine) : [];
  const behind = [...directoriesIn(program.runpath, program, machine), dirname(loader)];
  const files = filesIn([...rpath, ...behind]);
  const [libc] = [...files].filter(([, soname]) => soname === LIBC);
  const library = libc && libraryAt(libc[0], store);
  return {
    ...{ program, loader, files },
    libc: library && { path: library.path, version: versionOfLibc(library) },
    isFirst: [...filesIn(rpath).values()].includes(LIBC),
  };
}

/**
 * The files that the chosen glibc must replace for the program to run on it. Empty for a program that keeps its own:
 * one newer than the chosen glibc, or no older if that is the machine's.
 */
export function coverOf(
  own: OwnInterpreter,
  chosen: ChosenGlibc,
  { shared, starter }: ProcessGlibc,
  machine: Search,
): Mounts {
  const newer = own.libc && compareVersions(own.libc.version, versionOf(chosen));
  // With the machine's libc, the ld.so must be of the same build.
  const stays = starter ? newer !== undefined && newer > 0 : newer === undefined || newer >= 0;
  if (stays) return new Map();
  const family = starter ? shared : (Glibc.of(machine)?.family ?? shared);
  const covers = [...own.files, [own.loader, LOADER] as const].flatMap(([over, soname]) => {
    const file = family.get(soname);
    return file === undefined || file === over ? [] : [[over, file] as const];
  });
  return new Map(covers);
}

/** What is reported about it. */
export const tellOwn = ({ program, loader, libc }: OwnInterpreter, cover: Mounts, chosen: ChosenGlibc): string =>
  `"${program.path}" names an ld.so of its own, "${loader}"${libc ? `, and brings glibc ${libc.version.join(".")}` : ""}: ` +
  (cover.size > 0 ? `glibc ${chosen.version} takes its place` : "it stays on that");

/**
 * Throws ProgramError for a program that, without a mount namespace, would run on two halves of glibc, or on one too
 * old for itself or for isolated libraries. `why` says why there is none; `chosen` is a version. An auditor starts it
 * over on the chosen glibc, wherever its own is.
 */
export function refuseUncovered(
  { program, libc, isFirst }: OwnInterpreter,
  { processGlibc: { starter }, isAudited }: { readonly processGlibc: ProcessGlibc; readonly isAudited: boolean },
  isolated: readonly Library[],
  chosen: string,
  why: string,
): void {
  const cannot = (fault: string) =>
    new ProgramError(`Cannot run "${program.path}": ${fault}; ${why}`, EXIT.notRunnable);
  if (!libc) return;
  const version = libc.version.join(".");
  if (starter) {
    if (!runsOn(program, chosen))
      throw cannot(`it needs glibc ${program.glibc}, and the one that was chosen is ${chosen}`);
    if (isFirst && !isAudited) throw cannot(`its DT_RPATH leads to a glibc of its own, ${version} ("${libc.path}")`);
    return;
  }
  const needing = isAudited ? undefined : isolated.find((library) => !runsOn(library, version));
  if (needing)
    throw cannot(`it brings glibc ${version} ("${libc.path}"), and "${needing.path}" needs ${needing.glibc}`);
}

/** Undefined for a static, unreadable or damaged program, which is reported elsewhere. */
const libraryAt = (path: string, store: LibraryStore): Library | undefined =>
  unless([ElfError, SystemFault], () => store.read(path));

const directoriesIn = (list: string | undefined, { path }: Library, search: Search): string[] =>
  (list ?? "").split(":").flatMap((element) => (element === "" ? [] : (expand(element, dirname(path), search) ?? [])));

function filesIn(directories: readonly string[]): Map<string, string> {
  const files = new Map<string, string>();
  for (const directory of directories)
    for (const soname of GLIBC) {
      const file = unlessRefused(() => realpathSync(join(directory, soname)));
      if (file !== undefined) files.set(file, soname);
    }
  return files;
}
