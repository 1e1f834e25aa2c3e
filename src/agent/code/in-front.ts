// Functions in front of glibc's of the same names.

import type { Address } from "../../../lib/memory/numbers.ts";
import type { Assembler } from "../../../lib/x86-64/assembler.ts";

/** glibc's own function of that name, if it has one. */
export type Find = (name: string) => Address | undefined;

/**
 * Emits the functions that glibc has, too, each at a label of its name; returns the names. `body` emits one, to which
 * the label `real` has the address of glibc's own.
 */
export function emitInFront(
  to: Assembler,
  names: readonly string[],
  find: Find,
  body: (name: string, real: string) => void,
): string[] {
  return names.filter((name) => {
    const address = find(name);
    if (address === undefined) return false;
    const real = `real ${name}`;
    to.align(8)
      .quads({ [real]: address })
      .label(name);
    body(name, real);
    return true;
  });
}
