// Which libraries want thread-local variables of which others in static TLS, by what
// their files say.

import type { Library } from "../../lib/elf/library.ts";
import type { Tls } from "../../lib/elf/tls.ts";

/**
 * The isolated libraries with variables that the program's side wants in static TLS, by path, with one of these
 * variables.
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

/** Thread-local variables of others that libraries want in static TLS. */
export const wantedOf = (libraries: readonly Library[]): Set<string> =>
  new Set(libraries.flatMap(({ tls }) => tls?.wanted ?? []));

export const definesAny = (tls: Tls | undefined, names: ReadonlySet<string>): boolean =>
  tls?.exported.some((name) => names.has(name)) ?? false;
