// What a plan tells, as data: its shape is published in schema/plan.schema.json. All
// paths are of this machine, absolute and without symbolic links, unless it is said
// otherwise; null stands for what there is not.

import type { Source } from "../settings/source.ts";

/** Everything that `capsule exec` would do. */
export interface PlanReport {
  /** Another number whenever something changes its meaning or goes; what is new does not count. */
  readonly format: 1;
  /** What would run. */
  readonly program: PlannedProgram;
  /** Where it would run. */
  readonly mode: {
    /** `attached`: in a process of its own. */
    readonly name: "in-process" | "attached";
    /** Why it is that one, as words for behind a comma: "as it is a script". */
    readonly why: string;
  };
  /** Where the program's own libraries are searched. */
  readonly runtime: {
    /** `/`, or the directory of another tree. */
    readonly tree: string;
    /** LD_LIBRARY_PATH, split; as it is given. */
    readonly libraryPath: readonly string[];
  };
  /** On which glibc everything runs. */
  readonly glibc: PlannedGlibc;
  /** One for each host tree. */
  readonly capsules: readonly PlannedCapsule[];
  /** Libraries of which the whole process has one copy, and which capsules need. */
  readonly shared: readonly SharedLibrary[];
  /** What the program needs at the start of its own side; null where that cannot be told, as of a script. */
  readonly libraries: readonly PlannedLibrary[] | null;
  /** Other names by which isolated libraries are needed. */
  readonly aliases: readonly {
    /** As DT_NEEDED has it. */
    readonly name: string;
    /** What the library calls itself. */
    readonly soname: string;
  }[];
  /** What was set, by whom. */
  readonly settings: readonly PlannedSetting[];
  /** What will not be as one might expect, a paragraph each. */
  readonly warnings: readonly string[];
}

/** The program of a plan. */
export interface PlannedProgram {
  /** As it was given. */
  readonly name: string;
  /** Its file. */
  readonly path: string;
  /** As execve(2) would be given it, links and all. */
  readonly executed: string;
  /** Without the first, its name. */
  readonly arguments: readonly string[];
  /** `unreadable`: it may be run, but not looked at. */
  readonly kind: "elf" | "script" | "unreadable";
  /** What the kernel, or a shell, runs it by: of a script with its argument, else its ld.so. */
  readonly interpreter: readonly string[];
}

/** How processes come to a glibc. `bubblewrap or refused`: where the kernel does not permit what was asked for. */
export type GlibcWay = "as it is" | "started over" | "mount namespace" | "ld.so by name" | "bubblewrap or refused";

/** The glibc of a plan. */
export interface PlannedGlibc {
  /** Such as "2.36". */
  readonly version: string;
  /** Of its libc. */
  readonly path: string;
  /** "the machine's own", "of the host tree /srv/debian-13", … */
  readonly whose: string;
  /** Somebody has asked for it; else it is the newest. */
  readonly isAskedFor: boolean;
  /** Those that it might have been. */
  readonly others: readonly {
    /** Such as "2.31". */
    readonly version: string;
    /** Of its libc. */
    readonly path: string;
    /** As {@link PlannedGlibc.whose}. */
    readonly whose: string;
  }[];
  /** How processes come to it. */
  readonly way: GlibcWay;
  /** What is done where the kernel does not permit it: that is only known when it is tried. */
  readonly otherwise: GlibcWay | null;
}

/** One host tree, and what is taken from it. */
export interface PlannedCapsule {
  /** The host tree. */
  readonly tree: string;
  /** Where it has libraries beside the directories that its ld.so knows: paths in it, in the order of the search. */
  readonly libraryDirectories: readonly string[];
  /** Where it has what `/usr/share` has elsewhere: paths in it. */
  readonly shareDirectories: readonly string[];
  /** What the program sees of it. */
  readonly isolated: readonly IsolatedLibrary[];
  /** What these need, and only they see. */
  readonly dependencies: readonly PlannedLibrary[];
  /** Asked for, and left to the runtime. */
  readonly left: readonly LeftLibrary[];
  /** Functions that the program gets in place of isolated libraries' own. */
  readonly hooks: readonly PlannedHook[];
  /** What the host's libraries find in their environment. */
  readonly environment: readonly {
    /** The variable's. */
    readonly name: string;
    /** What the profile, or a script, has it say. */
    readonly value: string;
    /** The user has set it, and that is what they find. */
    readonly isOverridden: boolean;
  }[];
}

/** A function in place of an isolated library's. */
export interface PlannedHook {
  /** Of the library. */
  readonly soname: string;
  /** The function's name there. */
  readonly symbol: string;
  /** The shared object that has the other one. */
  readonly file: string;
  /** Its name there. */
  readonly function: string;
}

/** A library that was found. */
export interface PlannedLibrary {
  /** As it is needed. */
  readonly soname: string;
  /** The file that answers. */
  readonly path: string;
  /** Which step of the search gave it: "runpath of …", "ld.so.cache", … */
  readonly why: string;
  /** The file of what needs it first; null for what is opened by its name. */
  readonly neededBy: string | null;
}

/** Who has asked for a library to be isolated, and who has named its host tree. */
export interface Asked {
  /** The profiles that have it; none where it was named itself. */
  readonly profiles: readonly string[];
  /** Who has asked for it. */
  readonly source: PlannedSource;
  /** Who has named its host tree. */
  readonly treeSource: PlannedSource;
  /** Whose tree that is, where nobody has named one for this library: another's, with which it belongs; else null. */
  readonly follows: string | null;
}

/** A library that was to be isolated, and comes from the runtime all the same. */
export interface LeftLibrary extends Asked {
  /** As it was asked for. */
  readonly soname: string;
  /** Why it is not isolated. */
  readonly why: string;
}

/** A library that the program gets from the host tree. */
export interface IsolatedLibrary extends Asked {
  /** By which the program needs or opens it. */
  readonly soname: string;
  /** The host's file. */
  readonly path: string;
  /** Which step of the search gave it: "ld.so.cache", "default directory", … */
  readonly why: string;
  /**
   * `start`: the program or one of its libraries needs it. `use`: somebody may open it. `unknown`: of a program that
   * cannot be looked at.
   */
  readonly when: "start" | "use" | "unknown";
  /** Files of the program's side that need it at the start. */
  readonly neededBy: readonly string[];
}

/** A library of which the whole process has one copy. */
export interface SharedLibrary {
  /** As it is needed. */
  readonly soname: string;
  /** The one copy. */
  readonly path: string;
  /** Files in capsules that need it. */
  readonly neededBy: readonly string[];
}

/** A setting, and where it comes from. */
export interface PlannedSetting {
  /** As in a file; `libraries.SONAME` for the host tree of one library. */
  readonly name: string;
  /** A list where there can be several. */
  readonly value: string | readonly string[] | null;
  /** Who has said it. */
  readonly source: PlannedSource;
}

/** Who has said something. */
export interface PlannedSource {
  /** What it was said by. */
  readonly kind: Source["kind"];
  /** Of the flag or the variable; of the file its path; null for a default. */
  readonly name: string | null;
  /** Of the file, from 1, where it can be told; else null. */
  readonly line: number | null;
}
