// A plan as data. schema/plan.schema.json publishes its shape. All paths are absolute paths on this machine without
// symbolic links, unless said otherwise. null means absent.

import type { Source } from "../settings/source.ts";

/** Everything that `capsule exec` would do. */
export interface PlanReport {
  /** Changes whenever something changes its meaning or is removed, but not when something is added. */
  readonly format: 1;
  /** What would run. */
  readonly program: PlannedProgram;
  /** Where it would run. */
  readonly mode: {
    /** `attached`: in a process of its own. */
    readonly name: "in-process" | "attached";
    /** Why this mode was chosen, as a phrase to follow a comma: "as it is a script". */
    readonly why: string;
  };
  /** Where the program's own libraries are searched. */
  readonly runtime: {
    /** `/`, or the directory of another tree. */
    readonly tree: string;
    /** LD_LIBRARY_PATH, split, otherwise unchanged. */
    readonly libraryPath: readonly string[];
  };
  /** The glibc that everything runs on. */
  readonly glibc: PlannedGlibc;
  /** One for each host tree. */
  readonly capsules: readonly PlannedCapsule[];
  /** Libraries that capsules need and of which the process has one copy. */
  readonly shared: readonly SharedLibrary[];
  /** What the program needs at the start on its own side. null if unknown, as for a script. */
  readonly libraries: readonly PlannedLibrary[] | null;
  /** Other names by which isolated libraries are needed. */
  readonly aliases: readonly {
    /** As in DT_NEEDED. */
    readonly name: string;
    /** The library's DT_SONAME. */
    readonly soname: string;
  }[];
  /** What was set, and where. */
  readonly settings: readonly PlannedSetting[];
  /** Ways in which a run may differ from what one expects, a paragraph each. */
  readonly warnings: readonly string[];
}

/** The program of a plan. */
export interface PlannedProgram {
  /** As given. */
  readonly name: string;
  /** Its file. */
  readonly path: string;
  /** As execve(2) would get it, symbolic links included. */
  readonly executed: string;
  /** Without argv[0]. */
  readonly arguments: readonly string[];
  /** `unreadable`: it may be executed, but not read. */
  readonly kind: "elf" | "script" | "unreadable";
  /** What the kernel or a shell runs it with: a script's interpreter with its argument, else its ld.so. */
  readonly interpreter: readonly string[];
}

/** How processes are put on a glibc. `bubblewrap or refused`: if the kernel forbids what was asked for. */
export type GlibcWay = "as it is" | "started over" | "mount namespace" | "ld.so by name" | "bubblewrap or refused";

export interface PlannedGlibc {
  /** Such as "2.36". */
  readonly version: string;
  /** The path of its libc. */
  readonly path: string;
  /** "the machine's own", "of the host tree /srv/debian-13", … */
  readonly whose: string;
  /** Whether it was requested. Otherwise the newest is chosen. */
  readonly isAskedFor: boolean;
  /** The other candidates. */
  readonly others: readonly {
    /** Such as "2.31". */
    readonly version: string;
    /** The path of its libc. */
    readonly path: string;
    /** As {@link PlannedGlibc.whose}. */
    readonly whose: string;
  }[];
  /** How processes are put on it. */
  readonly way: GlibcWay;
  /** The alternative if the kernel forbids the first way, which is only known when it is tried. */
  readonly otherwise: GlibcWay | null;
}

/** One host tree, and what is taken from it. */
export interface PlannedCapsule {
  /** The directory of the host tree. */
  readonly tree: string;
  /** Library directories besides those that its ld.so knows: paths in the tree, in search order. */
  readonly libraryDirectories: readonly string[];
  /** Directories that correspond to `/usr/share`: paths in the tree. */
  readonly shareDirectories: readonly string[];
  /** The libraries that the program sees. */
  readonly isolated: readonly IsolatedLibrary[];
  /** The private dependencies, which only the capsule sees. */
  readonly dependencies: readonly PlannedLibrary[];
  /** Libraries that were requested but left to the runtime. */
  readonly left: readonly LeftLibrary[];
  /** Functions that replace those of isolated libraries for the program. */
  readonly hooks: readonly PlannedHook[];
  /** Environment variables for the host's libraries. */
  readonly environment: readonly {
    /** The variable's name. */
    readonly name: string;
    /** The value that the profile or a script gives it. */
    readonly value: string;
    /** Whether the user has set it. The user's value wins. */
    readonly isOverridden: boolean;
  }[];
}

/** A function that replaces one of an isolated library. */
export interface PlannedHook {
  /** The library. */
  readonly soname: string;
  /** The function's name in it. */
  readonly symbol: string;
  /** The shared object with the replacement. */
  readonly file: string;
  /** The replacement's name there. */
  readonly function: string;
}

/** A library that was found. */
export interface PlannedLibrary {
  /** The name by which it is needed. */
  readonly soname: string;
  /** The file found for it. */
  readonly path: string;
  /** The step of the search that found it: "runpath of …", "ld.so.cache", … */
  readonly why: string;
  /** The file that needs it first. null if it is opened by name. */
  readonly neededBy: string | null;
}

/** Which settings isolate a library, and which give its host tree. */
export interface Asked {
  /** The profiles that contain it. Empty if it was named directly. */
  readonly profiles: readonly string[];
  /** Where it was requested. */
  readonly source: PlannedSource;
  /** Where its host tree was named. */
  readonly treeSource: PlannedSource;
  /** The library whose host tree it shares, being of the same family, if none was named for it. Otherwise null. */
  readonly follows: string | null;
}

/** A library that was to be isolated but comes from the runtime. */
export interface LeftLibrary extends Asked {
  /** As requested. */
  readonly soname: string;
  /** Why it is not isolated. */
  readonly why: string;
}

/** A library that the program gets from the host tree. */
export interface IsolatedLibrary extends Asked {
  /** The name by which the program needs or opens it. */
  readonly soname: string;
  /** The host's file. */
  readonly path: string;
  /** The step of the search that found it: "ld.so.cache", "default directory", … */
  readonly why: string;
  /**
   * `start`: the program or one of its libraries needs it. `use`: it may be opened. `unknown`: the program cannot be
   * examined.
   */
  readonly when: "start" | "use" | "unknown";
  /** Files on the program's side that need it at the start. */
  readonly neededBy: readonly string[];
}

/** A library of which the process has one copy. */
export interface SharedLibrary {
  /** The name by which it is needed. */
  readonly soname: string;
  /** The path of that copy. */
  readonly path: string;
  /** Files in capsules that need it. */
  readonly neededBy: readonly string[];
}

/** A setting, and where it comes from. */
export interface PlannedSetting {
  /** As in a settings file. `libraries.SONAME` for the host tree of one library. */
  readonly name: string;
  /** A list if there can be several values. */
  readonly value: string | readonly string[] | null;
  /** Where it was set. */
  readonly source: PlannedSource;
}

/** Where something was set. */
export interface PlannedSource {
  /** The kind of source. */
  readonly kind: Source["kind"];
  /** The name of the flag or variable, or the path of the file. null for a default. */
  readonly name: string | null;
  /** The line in the file, from 1. null if unknown. */
  readonly line: number | null;
}
