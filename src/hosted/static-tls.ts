// Room in static TLS. A library with the initial-exec model has its thread-local block at a fixed distance from the
// thread pointer, in an area that glibc reserves for each thread when the process starts: natively as large as the
// program and its libraries need, plus some surplus for dlopen. Here all of them come by dlopen, and share the surplus
// (some 1.6 KB). If it is too small, the command is executed again with a tunable that enlarges it. We detect that from files
// before anything is changed, as far as they tell, or else from glibc's refusal.

import { basename, dirname } from "node:path";
import { type Library, readLibrary } from "../../lib/elf/library.ts";
import { symbolObject } from "../../lib/elf/write/symbol-object.ts";
import { LinkError } from "../../lib/link-error.ts";
import { dlclose, dlmopen, LM_ID_BASE, RTLD_NOW } from "../../lib/loader/calls.ts";
import { TUNABLES } from "../plan/glibc/tunables.ts";
import {
  DEFAULT,
  isMisaligned,
  MAXIMAL_ALIGNMENT,
  RESERVE,
  SURELY_FREE,
  sizeOf,
  staticLibraries,
  TUNABLE,
  withRoomFor,
} from "../plan/static-tls.ts";
import { LOADER } from "../profiles/shared-set.ts";
import { type Command, formerVariables, reexec } from "../reexec/reexec.ts";
import type { Run } from "./run.ts";

/** Starts over if the surplus will be too small, unless that has been done. */
export function ensureStaticTls(run: Run, command: Command): void {
  const libraries = staticLibraries(run.plan);
  const size = sizeOf(libraries);
  // The usual case: no need to ask glibc.
  if (size <= SURELY_FREE || libraries.some(isMisaligned) || isSettled(run)) return;
  if (hasRoom(run, size + LATER)) return;
  run.trace.log("plan", () => `static TLS: ${size} bytes are needed, and are not free: starting over`);
  reexecWithRoom(run, command);
}

/** Bytes of the surplus for what is opened later: natively that has all of it. */
const LATER = 1024;

/** Whether nothing more can be done: the command has been started over, or this glibc has no such tunable. */
function isSettled({ shared }: Run): boolean {
  if (formerVariables().has(TUNABLES)) return true;
  const loader = shared.get(LOADER);
  const name = Buffer.from(TUNABLE);
  return !loader?.loads.some(({ p_vaddr, p_memsz }) => {
    const { buffer, byteOffset, byteLength } = loader.bytes.view(p_vaddr, p_memsz, "segment");
    return Buffer.from(buffer, byteOffset, byteLength).includes(name);
  });
}

/** Asks glibc, by opening an empty library that needs this much. */
function hasRoom({ libc, directory }: Run, size: number): boolean {
  const { bytes } = symbolObject({ soname: "libroom.so", staticTls: { size, alignment: 16 } });
  try {
    libc.run(dlclose(libc, libc.run(dlmopen(libc, LM_ID_BASE, directory.write("room", bytes), RTLD_NOW))));
    return true;
  } catch (error) {
    if (refusedLibrary(error) === undefined) throw error;
    return false;
  }
}

function reexecWithRoom({ libc, directory, plan }: Run, command: Command): never {
  directory.remove();
  // TLS descriptors (TLSDESC) also use free space, so all blocks count.
  const libraries = [...plan.needs.libraries, ...plan.capsules.flatMap(({ closure }) => closure.libraries)];
  reexec(libc.exec, command, {
    environment: new Map([[TUNABLES, withRoomFor(libraries, process.env[TUNABLES] ?? "")]]),
  });
}

/** The path of the library that found no room, if that is what an error says. */
function refusedLibrary(error: unknown): string | undefined {
  if (!(error instanceof LinkError)) return undefined;
  const [, named] = /(?:^|: )([^:]*): cannot allocate memory in static TLS block$/.exec(error.message) ?? [];
  // As glibc names it, or as our own error does.
  return named?.replace(/^Cannot open "(.*)"$/, "$1");
}

/** Handles an error on the way to the program: executes the command again, or returns an error that says what the library needs. */
export function explainStaticTls(run: Run, command: Command, error: unknown): unknown {
  const path = refusedLibrary(error);
  if (path === undefined) return error;
  const library = libraryAt(run, path);
  if (!isMisaligned(library) && !isSettled(run)) {
    run.trace.log("plan", () => `static TLS: ${path} finds no room: starting over`);
    reexecWithRoom(run, command);
  }
  return lacking(error, library.path, library, () =>
    formerVariables().has(TUNABLES)
      ? `of which ${process.env[TUNABLES]} has not made enough free`
      : `of which this glibc (${run.libc.version}) cannot be told to set more aside`,
  );
}

/** Adds advice to an error in a process that cannot be started over. */
export function withAdvice(error: unknown): unknown {
  const path = refusedLibrary(error);
  if (path === undefined) return error;
  return lacking(error, path, readLibrary(path), (size) => {
    const tunable = `${TUNABLE}=${size + DEFAULT + RESERVE}`;
    return `of which there is not enough free: start Bun with ${TUNABLES}=${tunable}`;
  });
}

/** `reason` says why there is no room, unless the alignment is why. */
function lacking(cause: unknown, object: string, { tls }: Library, reason: (size: number) => string): LinkError {
  const { size, alignment } = tls ?? { size: 0, alignment: 0 };
  const why =
    alignment > MAXIMAL_ALIGNMENT
      ? `aligned to ${alignment}, which glibc does for ${MAXIMAL_ALIGNMENT} at most in a process that runs`
      : reason(size);
  const needs = `its thread-local data, ${size} bytes, has to be in static TLS`;
  return new LinkError(`Cannot open "${object}": ${needs}, ${why}`, { object, cause });
}

/** The library of a file that glibc names; for a shim, the one that it shows. */
function libraryAt({ plan, directory, runtime }: Run, path: string): Library {
  const members = plan.capsules.flatMap(({ closure }) => closure.libraries);
  const shown = dirname(path) === directory.path && members.find(({ soname }) => soname === basename(path));
  return shown || runtime.store.read(path);
}
