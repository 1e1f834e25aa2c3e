// How much static TLS libraries need, and the tunable that makes room for it. A library with the initial-exec model has
// its thread-local block at a fixed distance from the thread pointer, in a piece that glibc sets aside for each thread
// when the process starts: as large as the program and its libraries need, with some surplus for what dlopen brings.

import type { Library } from "../../lib/elf/library.ts";
import type { Tls } from "../../lib/elf/tls.ts";
import type { Trace } from "../diagnostics/trace.ts";
import { tunableIn, withTunable } from "./glibc/tunables.ts";
import type { Plan } from "./plan.ts";
import { definesAny, wantedOf } from "./tls-wants.ts";

/** There since glibc 2.33, and in Debian's 2.31. */
export const TUNABLE = "glibc.rtld.optional_static_tls";
/** glibc's own default, in bytes. */
export const DEFAULT = 512;
/**
 * For what is opened later: it comes out of every thread's stack, of which programs give some threads no more than 64
 * KB.
 */
export const RESERVE = 8192;
/** Of thread-local blocks, in bytes: glibc has no more for what comes by dlopen (TCB_ALIGNMENT). */
export const MAXIMAL_ALIGNMENT = 64;

/** The libraries that are loaded before the program starts and whose blocks have to be in static TLS. */
export function staticLibraries(plan: Plan): Library[] {
  const sides = [
    [plan.program.library, ...plan.runtimeLibraries],
    ...plan.capsules.map(({ closure }) => closure.members.map(({ library }) => library)),
  ];
  const shown = plan.capsules.flatMap(({ closure, atStart }) =>
    closure.members.map(({ library }) => library).filter(({ soname }) => atStart.includes(soname)),
  );
  const found = sides.flatMap((libraries, i) => {
    const wanted = wantedOf(libraries);
    const own = libraries.filter(({ tls }) => tls?.isStatic || definesAny(tls, wanted));
    return i === 0 ? [...own, ...shown.filter(({ tls }) => definesAny(tls, wanted))] : own;
  });
  return [...new Set(found)];
}

export const roundedSize = ({ size, alignment }: Tls): number => Math.ceil(size / (alignment || 1)) * (alignment || 1);

/** No setting helps it. */
export const isMisaligned = ({ tls }: Library): boolean => tls !== undefined && tls.alignment > MAXIMAL_ALIGNMENT;

/** In bytes, with the default settings of any version; Mesa needs some 60. */
export const SURELY_FREE = 512;

/** The tunables with more room than before. */
export function withRoomFor(libraries: readonly Library[], before: string): string {
  const all = libraries.reduce((sum, { tls }) => sum + (tls ? roundedSize(tls) + tls.alignment : 0), 0);
  return withTunable(before, TUNABLE, (Number(tunableIn(before, TUNABLE)) || DEFAULT) + all + RESERVE);
}

/**
 * Of libraries that may be opened, by host tree: those whose blocks have to be in static TLS, and how many bytes these
 * take.
 */
export function staticNeed(capsules: readonly (readonly Library[])[]): { libraries: readonly Library[]; size: number } {
  const libraries = capsules.flatMap((members) => {
    const wanted = wantedOf(members);
    return members.filter(({ tls }) => tls?.isStatic || definesAny(tls, wanted));
  });
  return { libraries, size: libraries.reduce((sum, { tls }) => sum + (tls ? roundedSize(tls) : 0), 0) };
}

/**
 * The tunables of a process of its own, in which the program's own libraries have their room beforehand, and the host's
 * take the surplus. `capsules` are the libraries that may be opened, by host tree, `before` what is set already.
 */
export function withRoomForAttached(capsules: readonly (readonly Library[])[], before: string, trace: Trace): string {
  const { size } = staticNeed(capsules);
  if (size <= SURELY_FREE) return before;
  trace.log("plan", () => `static TLS: ${size} bytes may be needed, and may not be free`);
  return withRoomFor(capsules.flat(), before);
}

/** What the host's libraries are to find in any case, in bytes: nothing where they do with what there is. */
export function roomForHosts(capsules: readonly (readonly Library[])[]): number {
  const { size } = staticNeed(capsules);
  return size <= SURELY_FREE ? 0 : size;
}

/** For blocks that have to be in static TLS, in bytes: jemalloc has 2632, what is no sanitizer's some 150 at most. */
const AUDITED = 4096;

/**
 * The tunables of processes with an auditor: static TLS is set aside before their libraries are known, so that these
 * have to do with the surplus, too (2.36, 2.41). `needed` are some that one has.
 */
export function withRoomForAudited(needed: readonly Library[], before: string): string {
  const size = needed.reduce((sum, { tls }) => sum + (tls?.isStatic ? roundedSize(tls) : 0), AUDITED + DEFAULT);
  return (Number(tunableIn(before, TUNABLE)) || DEFAULT) >= size ? before : withTunable(before, TUNABLE, size);
}
