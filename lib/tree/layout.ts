// Where a tree has libraries and data beside the directories that its ld.so knows. In
// one that is laid out by packages (NixOS's, Guix's) that is nearly all of it.

/** Paths in the tree, each once. */
export interface Layout {
  /** Searched before ld.so.cache. */
  readonly first: readonly string[];
  /** Searched behind the default directories. */
  readonly last: readonly string[];
  /** What there is in /usr/share elsewhere may be in these. */
  readonly shares: readonly string[];
}

export const PLAIN: Layout = { first: [], last: [], shares: [] };

const SHARE = "/usr/share";

/** A path below /usr/share in all of the places that a tree has for it; any other alone. */
export const inShares = (path: string, { shares }: Layout): string[] => [
  path,
  ...(path.startsWith(`${SHARE}/`) ? shares.map((share) => share + path.slice(SHARE.length)) : []),
];
