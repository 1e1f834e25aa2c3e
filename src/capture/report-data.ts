// A capture as data: what `capture()` returns, and `capsule capture --json` prints. Paths are on this machine and without
// symbolic links, unless said otherwise. null means absent.

import type { Comparator } from "./knowledge.ts";

/** What a capture has done, or would do. */
export interface CaptureReport {
  /** Changes whenever something changes its meaning or is removed, but not when something is added. */
  readonly format: 1;
  /** The tree that libraries are taken from. */
  readonly provider: string;
  /** The tree that they are for. */
  readonly container: string;
  /** The folder. */
  readonly destination: string;
  /** Whether nothing was written. */
  readonly isDryRun: boolean;
  /** What is in the folder. */
  readonly captured: readonly CapturedFile[];
  /** What the container has as good or better. */
  readonly left: readonly LeftFile[];
  /** Patterns for which nothing was captured, though that is no error. */
  readonly ignored: readonly {
    /** As it was written. */
    readonly pattern: string;
    /** A paragraph. */
    readonly why: string;
  }[];
  /** If the folder has a libc: its ld.so, without which no program runs on it. Otherwise null. */
  readonly loader: {
    /** The provider's file. */
    readonly path: string;
    /** The path by which programs name it: the container needs that file there, or starts programs by it. */
    readonly at: string;
  } | null;
  /** Variables to set for programs that use the folder: LD_LIBRARY_PATH, and those that lead drivers' loaders to it. */
  readonly environment: readonly {
    /** The variable's name. */
    readonly name: string;
    /** Its value in the container. */
    readonly value: string;
  }[];
  /** What was done, or would be, by names in the folder. */
  readonly changes: {
    /** They were not there. */
    readonly made: readonly string[];
    /** Something else was there. */
    readonly replaced: readonly string[];
    /** They were there already. */
    readonly kept: readonly string[];
  };
}

/** A library that was captured, or a file that libraries read. */
export interface CapturedFile {
  /** Its name in the folder. */
  readonly name: string;
  /** The provider's file. */
  readonly path: string;
  /** The text of the link; null for a copy, and for a manifest with other paths than the provider's. */
  readonly link: string | null;
  /** Why it is this file: the search step that found it. */
  readonly why: string;
  /** The pattern that wants it, as it was written, or the profile. */
  readonly pattern: string;
  /** The provider's file that needs it; null for what matches the pattern itself. */
  readonly neededBy: string | null;
  /** The container's file that it takes the place of; null if there is none. */
  readonly instead: string | null;
  /** Why it is taken. */
  readonly reason: CaptureReason;
}

/** A library that was left to the container. */
export interface LeftFile {
  /** The name by which it is needed. */
  readonly name: string;
  /** The provider's file. */
  readonly path: string;
  /** The container's file; null for a part of glibc that its newer glibc does not have. */
  readonly container: string | null;
  /** The pattern that wants it, as it was written. */
  readonly pattern: string;
  /** The provider's file that needs it; null for what matches the pattern itself. */
  readonly neededBy: string | null;
  /** Why it is left. */
  readonly reason: CaptureReason;
}

/** Why a library is captured, or is not. */
export interface CaptureReason {
  /**
   * `compared`: with the container's. `alone`: the container has none. `asked`: by even-if-older. `glibc`: it is what
   * libc is, of which the comparisons are. `data`: a file that drivers read.
   */
  readonly kind: "compared" | "alone" | "asked" | "glibc" | "data";
  /** The comparison that decided; null if none could, and the provider's is taken, or if there was none. */
  readonly by: Comparator | null;
  /** All that were made, in order. */
  readonly comparisons: readonly {
    /** Its kind. */
    readonly by: Comparator;
    /** The side with the newer copy; null if it cannot tell. */
    readonly newer: "provider" | "container" | null;
    /** What it has seen, as a sentence without an end. */
    readonly why: string;
  }[];
}
