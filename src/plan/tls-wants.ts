// Which libraries need thread-local variables of other libraries in static TLS, according to their files.

import type { Library } from "../../lib/elf/library.ts";
import type { Tls } from "../../lib/elf/tls.ts";

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

/** Thread-local variables of other libraries that these need in static TLS. */
export const wantedOf = (libraries: readonly Library[]): Set<string> =>
  new Set(libraries.flatMap(({ tls }) => tls?.wanted ?? []));

export const definesAny = (tls: Tls | undefined, names: ReadonlySet<string>): boolean =>
  tls?.exported.some((name) => names.has(name)) ?? false;
