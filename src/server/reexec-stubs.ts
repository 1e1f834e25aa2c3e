// For attached processes that are to run on another glibc than the one whose ld.so the kernel starts, where its files
// cannot be mounted over the machine's: each new process finds a stub library for libc, which starts it over under the
// other ld.so. So it does not matter what starts the process, and by which call. Where the files can be mounted, only
// processes that bring an older libc of their own are started over, and the auditor sees to it.
//
// Both are the same for all runs, and kept: links to the chosen files, with the exe shim, and the stub libraries.

import { statSync } from "node:fs";
import { join } from "node:path";
import { openImage } from "../../lib/elf/file.ts";
import { newestOf } from "../../lib/elf/glibc-version.ts";
import type { Image } from "../../lib/elf/image.ts";
import { codeObject } from "../../lib/elf/write/code-object.ts";
import { NOWHERE, stubLibraryOf } from "../../lib/elf/write/stub-library.ts";
import { PAGE_SIZE } from "../../lib/memory/numbers.ts";
import { LIBC, LIBDL, LOADER } from "../../lib/tree/glibc-names.ts";
import type { LibraryStore } from "../../lib/tree/library-store.ts";
import { Assembler } from "../../lib/x86-64/assembler.ts";
import { EXE_SHIM_PARTS, exeShimCode } from "../agent/code/exe-shim.ts";
import type { ChosenFile, OlderTargets } from "../agent/code/older-libc.ts";
import { emitCheck, emitReexecStub, type ReexecStubTargets } from "../agent/code/reexec-stub.ts";
import { STACK_END } from "../agent/code/vectors.ts";
import { printable } from "../diagnostics/output.ts";
import { INTERFACE } from "../plan/glibc/auditing.ts";
import type { Starter } from "../plan/glibc/process-glibc.ts";
import { UNWINDER } from "../profiles/shared-set.ts";
import type { KeptDirectories } from "../reexec/kept-directories.ts";
import type { ServingDirectory } from "./serving-directory.ts";

export const EXE_SHIM = "libcapsule-exe.so";
/**
 * A function that every glibc has, and that nothing interposes or takes the address of: in a program at a fixed address
 * that would be the program's own (a canonical PLT entry).
 */
const ANCHOR = "gnu_get_libc_release";

/** Where processes are started over on another glibc, and what they find there. */
export interface Family {
  /** The directory: links to `shared`, and the exe shim. */
  readonly libraries: string;
  readonly key: string;
  /** Names of glibc libraries that the process would have found otherwise, each with its path there. */
  readonly files: ReadonlyMap<string, string>;
  readonly shared: ReadonlyMap<string, string>;
  readonly starter: Starter;
}

/** `shared` belongs to the ld.so. Throws what reading and writing throw. */
export function keepFamily(kept: KeptDirectories, shared: ReadonlyMap<string, string>, starter: Starter): Family {
  const files = [...shared.values()].map((file) => statSync(file));
  const key = JSON.stringify([FORMAT, starter, files.map(({ dev, ino, size, mtimeMs }) => [dev, ino, size, mtimeMs])]);
  const exeShim = { names: [EXE_SHIM], make: () => exeShimFile(shared) };
  const libraries = kept.with(key, { links: shared, files: exeShim });
  const paths = new Map(namesOf(shared).map((name) => [name, join(libraries, name)]));
  return { libraries, key, files: paths, shared, starter };
}

/** Has every process that finds the launch's libraries started over. Throws as keepFamily does. */
export function placeReexecStubs(directory: ServingDirectory, family: Family, kept: KeptDirectories): void {
  const { libraries, key, shared } = family;
  const names = namesOf(shared);
  const make = () => stubLibraries(family);
  const reexecStubs = kept.with(`${key} ${libraries}`, { files: { names, make } });
  directory.linkLibraries(new Map(names.map((name) => [name, join(reexecStubs, name)])));
}

/** For the auditor, which has processes started over that bring an older libc. */
export function olderThan(family: Family, store: LibraryStore): OlderTargets {
  const [, minor = 0] = newestOf(store.read(family.shared.get(LIBC) ?? "").versions, "GLIBC");
  return { ...targetsOf(family), newest: minor };
}

/** The files that a process is started over with. */
export function chosenFiles({ starter, libraries }: Family, store: LibraryStore): ChosenFile[] {
  // In a process with an auditor an older ld.so crashes at a dlmopen, whatever release it says it is: no auditor may
  // stay until there, so none accepts an old ld.so on the way.
  if (!store.read(starter.loader).versions.includes(`GLIBC_${INTERFACE.since.join(".")}`)) return [];
  return [starter.loader, join(libraries, LIBC)].map((path) => {
    const { dev, ino } = statSync(path, { bigint: true });
    return { path, dev, ino };
  });
}

/** Must change whenever the machine code changes. */
const FORMAT = 9;

const namesOf = (shared: ReadonlyMap<string, string>): string[] =>
  [...shared.keys()].filter((soname) => soname !== LOADER && soname !== UNWINDER);

function exeShimFile(shared: ReadonlyMap<string, string>): Map<string, Uint8Array> {
  using libc = openImage(shared.get(LIBC) ?? "");
  return new Map([[EXE_SHIM, exeShimObject(libc)]]);
}

function targetsOf({ libraries, starter: { loader, takesArgv0, characterSets } }: Family): ReexecStubTargets {
  const complaint = `capsule: this program cannot be started on the glibc that was chosen: the kernel does not run "${printable(loader)}", or the arguments and the environment are too long for it\n`;
  const ofStatic =
    "capsule: this program is statically linked and opens libraries (dlopen, iconv, users and hosts), which need the glibc that it was linked with, and another one was chosen (--glibc says whose is used)\n";
  return { loader, takesArgv0, libraries, exeShim: EXE_SHIM, characterSets, complaint, ofStatic };
}

function stubLibraries(family: Family): Map<string, Uint8Array> {
  const { shared } = family;
  const targets = targetsOf(family);
  const isMerged = hasAllInLibc(shared);
  return new Map(
    namesOf(shared).map((soname) => {
      using image = openImage(shared.get(soname) ?? "");
      if (soname === LIBC) return [soname, reexecStubObject(image, targets)];
      return [soname, isMerged && MERGED.includes(soname) ? stubLibraryOf(image, []) : checkedObject(image)];
    }),
  );
}

/** Since 2.34 nothing is bound to these. */
const MERGED = ["libpthread.so.0", LIBDL, "librt.so.1", "libutil.so.1", "libanl.so.1"];

function hasAllInLibc(shared: ReadonlyMap<string, string>): boolean {
  using libc = openImage(shared.get(LIBC) ?? "");
  return libc.verdefs.some(({ name }) => name === "GLIBC_2.34");
}

/** Complains if it would be used. */
function checkedObject(image: Image): Uint8Array {
  const complaint =
    "capsule: this program has a libc of its own in front (DT_RPATH, LD_LIBRARY_PATH), and cannot be started on the glibc that was chosen, nor on both (--mount-namespace auto, where the kernel permits it)\n";
  const to = new Assembler();
  emitCheck(to, NOWHERE, complaint);
  to.align(PAGE_SIZE);
  const dataAt = to.length;
  to.label("anchor").quad(0);
  return stubLibraryOf(image, [], {
    ...{ code: to.assemble(), dataAt },
    ...{ resolver: "check", imports: [ANCHOR, "anchor"] },
  });
}

function reexecStubObject(libc: Image, targets: ReexecStubTargets): Uint8Array {
  const to = new Assembler();
  emitReexecStub(to, targets);
  to.align(PAGE_SIZE);
  const dataAt = to.length;
  to.label("stack end").quad(0);
  return stubLibraryOf(libc, [LOADER], {
    ...{ code: to.assemble(), dataAt },
    ...{ resolver: "reexecStub", imports: [STACK_END, "stack end"] },
  });
}

function exeShimObject(libc: Image): Uint8Array {
  const vaddrOf = (name: string): number | undefined => {
    // Like dlsym, find() does not see symbols that exist for old programs only.
    const index = libc.find(name) ?? [...libc.findAll(name)].at(-1);
    return index === undefined ? undefined : libc.symbols.at(index).st_value;
  };
  const anchor = vaddrOf(ANCHOR) ?? 0;
  const { code, dataAt, names } = exeShimCode((name) => {
    const value = vaddrOf(name);
    return value === undefined ? undefined : value - anchor;
  });
  return codeObject({
    ...{ soname: EXE_SHIM, needed: [LIBC], code, dataAt, nodelete: true },
    functions: new Map(names.map((name) => [name, name])),
    imports: new Map([
      [STACK_END, EXE_SHIM_PARTS.stackEnd],
      [ANCHOR, EXE_SHIM_PARTS.anchor],
    ]),
    resolver: EXE_SHIM_PARTS.resolver,
  }).bytes;
}
