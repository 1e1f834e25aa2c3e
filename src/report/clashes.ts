// Sonames of which the two sides have different files. Natively there is room for one in
// a process, and whoever was built with the other gets the wrong one.

import { isShared } from "../profiles/shared-set.ts";
import { type Item, type Report, type Side, WHENS, type When } from "./item.ts";
import { versionIn } from "./version-in.ts";

export interface Copy {
  /** Whose it is; the program's where `isLoaded` is false. */
  readonly side: Side;
  readonly path: string;
  /** Empty where the file's name does not say it. */
  readonly version: string;
  /** Not what the program would have natively, of which the host's takes the place. */
  readonly isLoaded: boolean;
}

export interface Clash {
  readonly soname: string;
  /** The program's first, of different files. */
  readonly copies: readonly Copy[];
  /** More than one of them is in the process, each in a namespace of its own. */
  readonly isApart: boolean;
  /** When the last of them comes. */
  readonly when: When;
}

/** Those that are kept apart first; by when they come, and by soname. */
export function clashesOf({ program, capsules, native }: Report): Clash[] {
  const loaded = new Map<string, Item[]>();
  for (const { items } of [program, ...capsules])
    for (const item of items)
      if (!isShared(item.soname)) loaded.set(item.soname, [...(loaded.get(item.soname) ?? []), item]);
  const clashes = [...loaded].flatMap(([soname, items]): Clash[] => {
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
