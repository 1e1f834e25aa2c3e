// A program that names an ld.so of its own (PT_INTERP) and brings the glibc that belongs to
// it, as those of Nix and Guix do, and some AppImages. What is done with the machine's files
// does not concern it. So the glibc that was chosen takes the place of these, too, unless
// they are newer: whoever was built for an older one runs on them.

import { realpathSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { ElfError } from "../../../lib/elf/error.ts";
import { compareVersions } from "../../../lib/elf/glibc-version.ts";
import type { Library } from "../../../lib/elf/library.ts";
import { unlessRefused } from "../../../lib/system-error.ts";
import { Glibc, type Version, versionOfLibc } from "../../../lib/tree/glibc.ts";
import { GLIBC, LIBC, LOADER } from "../../../lib/tree/glibc-names.ts";
import type { LibraryStore } from "../../../lib/tree/library-store.ts";
import { expand, type Search } from "../../../lib/tree/search.ts";
import { EXIT, ProgramError } from "../../diagnostics/errors.ts";
import { runnerOf } from "../program.ts";
import { findUnlinked } from "../unlinked.ts";
import { type ChosenGlibc, runsOn, versionOf } from "./choice.ts";
import type { Mounts, ProcessGlibc } from "./process-glibc.ts";

export interface OwnInterpreter {
  /** The program, or what runs the script. */
  readonly program: Library;
  /** The ld.so, without symbolic links. */
  readonly loader: string;
  /** The files of its glibc that its search may find: paths without symbolic links, and the soname of each. */
  readonly files: ReadonlyMap<string, string>;
  /** Of the libc among them; undefined where it would take the machine's. */
  readonly libc: { readonly path: string; readonly version: Version } | undefined;
  /** Its DT_RPATH, which comes before all that we could say, leads to that libc. */
  readonly isFirst: boolean;
}

/** Undefined for a program that names the machine's ld.so, and where it cannot be told. */
export function ownInterpreterOf(path: string, machine: Search): OwnInterpreter | undefined {
  const { store } = machine;
  const runner = runnerOf(path);
  const program = runner === undefined ? undefined : libraryAt(runner, store);
  if (program?.interpreter === undefined || findUnlinked(program.path)) return undefined;
  const { interpreter } = program;
  // A relative one is the kernel's to find, from the current directory.
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
 * What the glibc that was chosen has to take the place of, file by file, so that the program runs on it. Empty for one
 * that stays on its own: that is newer, or as good as the machine's.
 */
export function coverOf(
  own: OwnInterpreter,
  chosen: ChosenGlibc,
  { shared, starter }: ProcessGlibc,
  machine: Search,
): Mounts {
  const newer = own.libc && compareVersions(own.libc.version, versionOf(chosen));
  // Beside the machine's libc its ld.so has to be of that one's build.
  const stays = starter ? newer !== undefined && newer > 0 : newer === undefined || newer >= 0;
  if (stays) return new Map();
  const family = starter ? shared : (Glibc.of(machine)?.family ?? shared);
  const covers = [...own.files, [own.loader, LOADER] as const].flatMap(([over, soname]) => {
    const file = family.get(soname);
    return file === undefined || file === over ? [] : [[over, file] as const];
  });
  return new Map(covers);
}

/** What is told of it. */
export const tellOwn = ({ program, loader, libc }: OwnInterpreter, cover: Mounts, chosen: ChosenGlibc): string =>
  `"${program.path}" names an ld.so of its own, "${loader}"${libc ? `, and brings glibc ${libc.version.join(".")}` : ""}: ` +
  (cover.size > 0 ? `glibc ${chosen.version} takes its place` : "it stays on that");

/**
 * Throws ProgramError for one that would run on two halves of glibc, or on one that is too old for itself or for isolated
 * libraries, since there is no mount namespace: `why` says why. `chosen` is a version. An auditor has it started over on
 * that, wherever its own is.
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

function libraryAt(path: string, store: LibraryStore): Library | undefined {
  try {
    return store.read(path);
  } catch (error) {
    // A static program, one that may be run and not read, a damaged one: told elsewhere.
    if (error instanceof ElfError || (error as NodeJS.ErrnoException).code !== undefined) return undefined;
    throw error;
  }
}

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
