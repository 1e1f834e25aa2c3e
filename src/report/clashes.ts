// Sonames for which the two sides have different files. Natively a process has room for only one, and libraries built
// against the other get the wrong one.

import { isShared } from "../profiles/shared-set.ts";
import { type Report, type Side, WHENS, type When } from "./item.ts";
import { versionIn } from "./version-in.ts";

export interface Copy {
  /** The side that has it. The program's if `isLoaded` is false. */
  readonly side: Side;
  readonly path: string;
  /** Empty if the file name has no version. */
  readonly version: string;
  /** False for the file that the program would load natively, which the host's replaces. */
  readonly isLoaded: boolean;
}

export interface Clash {
  readonly soname: string;
  /** The program's copy comes first. At least two are different files. */
  readonly copies: readonly Copy[];
  /** Whether the process has more than one of them, each in its own namespace. */
  readonly isApart: boolean;
  /** When the last copy is loaded. */
  readonly when: When;
}

/** Sorted: those kept apart first, then by time of loading, then by soname. */
export function clashesOf({ program, capsules, native }: Report): Clash[] {
  const loaded = [program, ...capsules].flatMap(({ items }) => items).filter(({ soname }) => !isShared(soname));
  const clashes = [...Map.groupBy(loaded, ({ soname }) => soname)].flatMap(([soname, items]): Clash[] => {
    const copies = items.map(({ side, path }) => ({ side, path, version: versionIn(path), isLoaded: true }));
    const path = native.get(soname);
    if (path !== undefined && !items.some(({ side }) => side === program))
      copies.unshift({ side: program, path, version: versionIn(path), isLoaded: false });
    if (new Set(copies.map((copy) => copy.path)).size < 2) return [];
    const when = WHENS[Math.max(...items.map((item) => WHENS.indexOf(item.when)))] ?? "later";
    return [{ soname, copies, isApart: new Set(items.map((item) => item.path)).size > 1, when }];
  });
  const rank = ({ isApart, when }: Clash) => (isApart ? 0 : WHENS.length) + WHENS.indexOf(when);
  return clashes.sort((one, other) => rank(one) - rank(other) || (one.soname < other.soname ? -1 : 1));
}
