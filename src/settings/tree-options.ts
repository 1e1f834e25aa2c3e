// What the user says about trees and libraries, with who has said it.

import type { Variable } from "../profiles/profiles.ts";
import type { GlibcChoice } from "./choices.ts";
import type { Setting, Source } from "./source.ts";

/** What is said about trees; see settings/settings.ts. */
export interface TreeOptions {
  /** Of those libraries that have none of their own. */
  readonly host: Setting<string>;
  /** Where the program's own libraries are, if not where the machine has them. */
  readonly runtime: Setting<string | undefined>;
  readonly glibc: Setting<GlibcChoice>;
  /** What to isolate, each library once. */
  readonly libraries: readonly LibraryChoice[];
  /** Sonames of those that are shared where the runtime's copy is newer. */
  readonly newest: readonly string[];
  /** Of host trees, beside those that their ld.so knows. */
  readonly further: Setting<FurtherDirectories>;
  /** For the host's libraries. */
  readonly variables: readonly Variable[];
}

/** A library to be isolated. */
export interface LibraryChoice {
  readonly soname: string;
  /** Its host tree. */
  readonly host: Setting<string>;
  /** The user has named it, and not only a profile: then it must be there. */
  readonly isExplicit: boolean;
  /** The names of the profiles that have it; none where it was named itself. */
  readonly profiles: readonly string[];
  readonly source: Source;
  /** The user has said nothing of its tree: it comes from that of another of its family. */
  readonly follows?: Follows | undefined;
}

export interface Follows {
  /** The one of the family whose tree the user has named. */
  readonly soname: string;
  /** From where it comes if that tree does not have it; undefined for what is there by the other one alone. */
  readonly otherwise: Setting<string> | undefined;
}

/** Directories of host trees, as paths in the tree or of this machine. */
export interface FurtherDirectories {
  readonly libraries: readonly string[];
  readonly shares: readonly string[];
}

export const NOTHING_FURTHER: FurtherDirectories = { libraries: [], shares: [] };
