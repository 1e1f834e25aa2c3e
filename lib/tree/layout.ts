// Where a tree has libraries and data besides the directories that its ld.so knows. In a tree organized by packages
// (NixOS, Guix), that is nearly everything.

/** Paths in the tree, each once. */
export interface Layout {
  /** Searched before ld.so.cache. */
  readonly first: readonly string[];
  /** Searched after the default directories. */
  readonly last: readonly string[];
  /** Directories that may have what other systems keep in /usr/share. */
  readonly shares: readonly string[];
}

export const PLAIN: Layout = { first: [], last: [], shares: [] };

const SHARE = "/usr/share";

/** A path below /usr/share in all of the tree's places for it; any other path alone. */
export const inShares = (path: string, { shares }: Layout): string[] => [
  path,
  ...(path.startsWith(`${SHARE}/`) ? shares.map((share) => share + path.slice(SHARE.length)) : []),
];
