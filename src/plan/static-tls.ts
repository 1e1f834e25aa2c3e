// How much static TLS libraries need, and the tunable that makes room for it. A library with the initial-exec model has
// its thread-local block at a fixed distance from the thread pointer, in an area that glibc reserves for each thread at
// process start: as large as the program and its libraries need, plus a surplus for dlopen.

import type { Library } from "../../lib/elf/library.ts";
import type { Tls } from "../../lib/elf/tls.ts";
import type { Closure } from "../../lib/tree/closure.ts";
import type { Trace } from "../diagnostics/trace.ts";
import { tunableIn, withTunable } from "./glibc/tunables.ts";
import type { Program } from "./program.ts";

/** Available since glibc 2.33, and in Debian's 2.31. */
export const TUNABLE = "glibc.rtld.optional_static_tls";
/** glibc's own default, in bytes. */
export const DEFAULT = 512;
/**
 * For libraries opened later, in bytes. It comes out of every thread's stack, and some programs give threads no more
 * than 64 KB.
 */
export const RESERVE = 8192;
/** Largest alignment of a thread-local block that glibc supports for dlopen, in bytes (TCB_ALIGNMENT). */
export const MAXIMAL_ALIGNMENT = 64;

/** Thread-local variables of other libraries that these need in static TLS. */
const wantedOf = (libraries: readonly Library[]): Set<string> =>
  new Set(libraries.flatMap(({ tls }) => tls?.wanted ?? []));

/**
 * The isolated libraries, by path, of which the program's side needs a variable in static TLS, each with one such
 * variable.
 */
export function lentStatically(program: readonly Library[], isolated: readonly Library[]): Map<string, string> {
  const wanted = wantedOf(program);
  return new Map(
    isolated.flatMap(({ path, tls }) => {
      const name = tls?.exported.find((variable) => wanted.has(variable));
      return name === undefined ? [] : [[path, name] as const];
    }),
  );
}

/** Those whose blocks must be in static TLS: by their own marks, or as others of them want a variable there. */
function staticOf(libraries: readonly Library[]): Library[] {
  const wanted = wantedOf(libraries);
  return libraries.filter(({ tls }) => tls?.isStatic || tls?.exported.some((name) => wanted.has(name)));
}

/** Libraries that are loaded before the program starts and whose blocks must be in static TLS. */
export function staticLibraries({ program, needs, capsules }: Hosted): Library[] {
  const side = staticOf([program.library, ...needs.libraries]);
  const lent = capsules.flatMap(({ closure, lentStatically }) =>
    closure.libraries.filter(({ path }) => lentStatically.has(path)),
  );
  return [...new Set([...side, ...lent, ...capsules.flatMap(({ closure }) => staticOf(closure.libraries))])];
}

/** What it has to know of a plan. */
interface Hosted {
  readonly program: Program;
  readonly needs: Closure;
  readonly capsules: readonly { readonly closure: Closure; readonly lentStatically: ReadonlyMap<string, string> }[];
}

const roundedSize = ({ size, alignment }: Tls): number => Math.ceil(size / (alignment || 1)) * (alignment || 1);

/** Of their thread-local blocks, in bytes. */
export const sizeOf = (libraries: readonly Library[]): number =>
  libraries.reduce((sum, { tls }) => sum + (tls ? roundedSize(tls) : 0), 0);

/** True if no setting can give the library its alignment. */
export const isMisaligned = ({ tls }: Library): boolean => tls !== undefined && tls.alignment > MAXIMAL_ALIGNMENT;

/** In bytes, with the default settings of any glibc version; Mesa needs some 60. */
export const SURELY_FREE = 512;

/** The tunables with more room for static TLS than `before`. */
export function withRoomFor(libraries: readonly Library[], before: string): string {
  const all = libraries.reduce((sum, { tls }) => sum + (tls ? roundedSize(tls) + tls.alignment : 0), 0);
  return withTunable(before, TUNABLE, (Number(tunableIn(before, TUNABLE)) || DEFAULT) + all + RESERVE);
}

/**
 * Of libraries that may be opened, by host tree: those whose blocks must be in static TLS, and the blocks' size in
 * bytes.
 */
export function staticNeed(capsules: readonly (readonly Library[])[]): { libraries: readonly Library[]; size: number } {
  const libraries = capsules.flatMap(staticOf);
  return { libraries, size: sizeOf(libraries) };
}

/**
 * The tunables of an attached process: its own libraries have their room reserved, and the host's use the surplus.
 * `capsules` are the libraries that may be opened, by host tree, `before` are the tunables already set.
 */
export function withRoomForAttached(capsules: readonly (readonly Library[])[], before: string, trace: Trace): string {
  const size = roomForHosts(capsules);
  if (size === 0) return before;
  trace.log("plan", () => `static TLS: ${size} bytes may be needed, and may not be free`);
  return withRoomFor(capsules.flat(), before);
}

/** Bytes to keep free for the host's libraries; 0 if what is surely free is enough. */
export function roomForHosts(capsules: readonly (readonly Library[])[]): number {
  const { size } = staticNeed(capsules);
  return size <= SURELY_FREE ? 0 : size;
}

/**
 * For blocks that must be in static TLS, in bytes: jemalloc has 2632, other libraries but sanitizers some 150 at most.
 */
export const AUDITED = 4096;

/**
 * The tunables of processes with an auditor: glibc reserves static TLS before their libraries are known, so these use
 * the surplus as well (2.36, 2.41). `needed` are libraries of one such process.
 */
export function withRoomForAudited(needed: readonly Library[], before: string): string {
  const size = sizeOf(needed.filter(({ tls }) => tls?.isStatic)) + AUDITED + DEFAULT;
  return (Number(tunableIn(before, TUNABLE)) || DEFAULT) >= size ? before : withTunable(before, TUNABLE, size);
}
