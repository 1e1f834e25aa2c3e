// The user's settings for trees and libraries, with their sources.

import type { Variable } from "../profiles/profiles.ts";
import type { GlibcChoice } from "./choices.ts";
import type { Setting, Source } from "./source.ts";

/** Settings for trees; see settings/settings.ts. */
export interface TreeOptions {
  /** The tree of libraries that have none of their own. */
  readonly host: Setting<string>;
  /** The tree of the program's own libraries, unless it is the machine. */
  readonly runtime: Setting<string | undefined>;
  readonly glibc: Setting<GlibcChoice>;
  /** What to isolate, each library once. */
  readonly libraries: readonly LibraryChoice[];
  /** Sonames that are shared if the runtime's copy is newer. */
  readonly newest: readonly string[];
  /** Directories of host trees beside those that their ld.so knows. */
  readonly further: Setting<FurtherDirectories>;
  /** Set for the host's libraries. */
  readonly variables: readonly Variable[];
}

/** A library to be isolated. */
export interface LibraryChoice {
  readonly soname: string;
  /** Its host tree. */
  readonly host: Setting<string>;
  /** The user has named the library itself, so it must exist. */
  readonly isExplicit: boolean;
  /** The profiles that have it; none if the library was named itself. */
  readonly profiles: readonly string[];
  readonly source: Source;
  /** Set if the library has no tree of its own and takes that of another of its family. */
  readonly follows?: Follows | undefined;
}

export interface Follows {
  /** The family member whose tree the user has set. */
  readonly soname: string;
  /**
   * The tree to use if that one lacks the library; undefined for a library that is isolated only because of the other.
   */
  readonly otherwise: Setting<string> | undefined;
}

/** Directories of host trees, as paths in the tree or on this machine. */
export interface FurtherDirectories {
  readonly libraries: readonly string[];
  readonly shares: readonly string[];
}

export const NOTHING_FURTHER: FurtherDirectories = { libraries: [], shares: [] };
