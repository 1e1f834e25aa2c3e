// Runs a program without a libc, with TypeScript as its dynamic linker.

import { ftruncateSync, realpathSync, writeSync } from "node:fs";
import { basename } from "node:path";
import { PT_DYNAMIC, PT_INTERP } from "../../lib/elf/constants.ts";
import { ElfError } from "../../lib/elf/error.ts";
import { FileBytes, readHeaders } from "../../lib/elf/file.ts";
import { ownContext, reasonNotHere, runHere } from "../../lib/link/run-here.ts";
import { type SparseFile, startImage } from "../../lib/link/start-image.ts";
import { stringBytesAt } from "../../lib/memory/live.ts";
import { Exec } from "../../lib/process/exec.ts";
import type { Libc } from "../../lib/process/libc.ts";
import { type System, SystemError } from "../../lib/process/system.ts";
import { dependenciesOf } from "../../lib/tree/dependencies.ts";
import { LIBC } from "../../lib/tree/glibc-names.ts";
import type { Search } from "../../lib/tree/search.ts";
import { ERRNO } from "../../lib/x86-64/linux.ts";
import { EXIT, ProgramError } from "../diagnostics/errors.ts";
import type { Trace } from "../diagnostics/trace.ts";
import { withFiles } from "../directories/short-lived.ts";
import { releaseDescriptors } from "../handover/descriptors.ts";
import { withoutRunner } from "../handover/environment.ts";
import { resetSignals } from "../handover/signals.ts";
import { locateProgram } from "../plan/program.ts";
import { isShared } from "../profiles/shared-set.ts";

/** A program, as the linker sees it. */
export interface Linkable {
  /** The path as found, possibly a symbolic link. `path` is the real file. */
  readonly executed: string;
  readonly path: string;
  /** Why it can only be explained, not run here. Undefined if it can be run. */
  readonly fault: string | undefined;
  /** Why it needs a process of its own. Undefined if it can run in this one. */
  readonly why: string | undefined;
}

/** Throws ProgramError if it is not a dynamically linked program. Missing libraries are reported when it is linked. */
export function linkable(search: Search, name: string): Linkable {
  const executed = locateProgram(name);
  const path = realpathSync(executed);
  const cannot = (why: string, cause?: unknown) =>
    new ProgramError(`Cannot link "${path}": ${why}`, EXIT.notRunnable, cause === undefined ? {} : { cause });
  try {
    using file = new FileBytes(path);
    const { ehdr, phdrs } = readHeaders(file);
    if (!phdrs.some(({ p_type }) => p_type === PT_DYNAMIC))
      throw cannot("it is statically linked, and has been by another linker");
    const library = search.libraryAt(path);
    // Static PIEs and ld.so relocate themselves and have a dynamic section too. A library has no entry point.
    const asksForLinker = phdrs.some(({ p_type }) => p_type === PT_INTERP) || library.needed.length > 0;
    if (!asksForLinker && ehdr.e_entry !== 0)
      throw cannot("it is statically linked: it names no dynamic linker (PT_INTERP) and needs no library (DT_NEEDED)");
    const { nodes, roots } = dependenciesOf(search, library.needed, isShared, { library });
    const needs = [...roots, ...nodes.flatMap((node) => node.needs)].flatMap((need) => {
      return "elsewhere" in need || isShared(need.name) ? need.name : [];
    });
    // Of glibc's libraries, report libc, which people know.
    const libc = needs.includes(LIBC) ? LIBC : needs[0];
    const libraries = [library, ...nodes.map((node) => node.library)];
    const other = libraries.find(({ isLibc }) => isLibc);
    const fault = faultOf(ehdr.e_entry, libc ?? other?.soname);
    return { executed, path, fault, why: fault === undefined ? reasonNotHere(library) : undefined };
  } catch (error) {
    if (error instanceof ElfError) throw cannot(`${error.structure}: ${error.fault}`, error);
    throw error;
  }
}

function faultOf(entry: number, libc: string | undefined): string | undefined {
  if (libc !== undefined)
    return `it needs ${libc}, and this linker is for programs without a libc: ld.so does for glibc what it alone can do`;
  return entry === 0 ? "it has no entry point, as a library has none" : undefined;
}

/** What the program is started with. Nothing in it was for this command. */
interface Given {
  readonly list: readonly Uint8Array[];
  /** Descriptors that it inherits. */
  readonly inherited: ReadonlySet<number>;
}

/**
 * Throws LinkError and ElfError before any code of the program has run. Ends when the program does: by its exit(2), or
 * with 0 when its entry function returns.
 */
export function linkProgram(
  libc: Libc,
  search: Search,
  { executed, path, fault, why }: Linkable,
  { list, inherited }: Given,
  trace: Trace,
): never {
  if (fault !== undefined)
    throw new ProgramError(`Cannot run "${path}": ${fault} (--explain shows what it would do)`, EXIT.notRunnable);
  // Remove variables that were set for this command, not for the program.
  const changes = withoutRunner(process.env);
  const isKept = (variable: Uint8Array) =>
    !changes.has(Buffer.from(variable).toString("latin1").split("=", 1)[0] ?? "");
  const onWarning = (text: string) => trace.warn(text);
  if (why === undefined) {
    return withFiles((write, remove) =>
      runHere(libc, search, path, list, {
        ...{ isKept, onWarning, write, executed, failure: EXIT.failure },
        onLinked: () => {
          remove();
          resetSignals(libc);
          releaseDescriptors(libc, inherited, trace);
          // Bun opens /dev/null for standard descriptors that were closed. Inherited ones have no FD_CLOEXEC.
          for (const standard of [0, 1, 2]) if (libc.exec.isClosed(standard)) libc.descriptors.close(standard);
        },
      }),
    );
  }
  const descriptor = withFiles((write) => {
    using image = startImage(search, path, executed, write, { onWarning });
    return memoryFileOf(libc.system, path, image);
  });
  const environment = ownContext()
    .environment.map((at) => stringBytesAt(at))
    .filter(isKept);
  resetSignals(libc);
  libc.descriptors.lowerLimit();
  const exec = new Exec();
  for (const each of inherited) exec.passOn(each);
  const errno = exec.execute(`/proc/self/fd/${descriptor}`, list, environment);
  throw new ProgramError(`Cannot run "${path}": the kernel refuses its image (errno ${errno})`, EXIT.notRunnable);
}

/** Throws ProgramError if the machine or a limit forbids the file. */
function memoryFileOf(system: System, path: string, { size, parts }: SparseFile): number {
  const cannot = (error: unknown, why: string) => {
    return new ProgramError(`Cannot run "${path}" in a process of its own: ${why}`, EXIT.notRunnable, { cause: error });
  };
  let descriptor: number;
  try {
    descriptor = system.memoryFile(basename(path));
  } catch (error) {
    if (!(error instanceof SystemError) || error.errno !== ERRNO.EACCES) throw error;
    throw cannot(error, "its image would be a file in memory, and the kernel runs none (the sysctl vm.memfd_noexec)");
  }
  try {
    ftruncateSync(descriptor, size);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EFBIG") throw error;
    throw cannot(error, `its image has ${size} bytes, and no file may be that large (ulimit -f)`);
  }
  for (const { offset, bytes } of parts)
    for (let done = 0; done < bytes.length; )
      done += writeSync(descriptor, bytes, done, bytes.length - done, offset + done);
  return descriptor;
}
