// What a plan tells, as data: its shape is published in schema/plan.schema.json. All
// paths are of this machine, absolute and without symbolic links, unless it is said
// otherwise; null stands for what there is not.

import type { Hook } from "../launch.ts";
import type { Source } from "../settings/source.ts";

/** Everything that `capsule exec` would do. */
export interface PlanReport {
  /** Another number whenever something changes its meaning or goes; what is new does not count. */
  readonly format: 1;
  readonly program: PlannedProgram;
  readonly mode: {
    readonly name: "in-process" | "attached";
    /** Why it is that one, as words for behind a comma: "as it is a script". */
    readonly why: string;
  };
  /** Where the program's own libraries are searched. */
  readonly runtime: {
    readonly tree: string;
    /** LD_LIBRARY_PATH, split. */
    readonly libraryPath: readonly string[];
  };
  readonly glibc: PlannedGlibc;
  /** One for each host tree. */
  readonly capsules: readonly PlannedCapsule[];
  /** Libraries of which the whole process has one copy, and which capsules need. */
  readonly shared: readonly SharedLibrary[];
  /** What the program needs at the start of its own side; null where that cannot be told, as of a script. */
  readonly libraries: readonly PlannedLibrary[] | null;
  /** Other names by which isolated libraries are needed. */
  readonly aliases: readonly { readonly name: string; readonly soname: string }[];
  readonly settings: readonly PlannedSetting[];
  /** What will not be as one might expect. */
  readonly warnings: readonly string[];
}

export interface PlannedProgram {
  /** As it was given. */
  readonly name: string;
  readonly path: string;
  /** As execve(2) would be given it, links and all. */
  readonly executed: string;
  readonly arguments: readonly string[];
  readonly kind: "elf" | "script" | "unreadable";
  /** What the kernel, or a shell, runs it by: of a script with its argument, else its ld.so. */
  readonly interpreter: readonly string[];
}

/** How processes come to a glibc. `bubblewrap or refused`: where the kernel does not permit what was asked for. */
export type GlibcWay = "as it is" | "started over" | "mount namespace" | "ld.so by name" | "bubblewrap or refused";

export interface PlannedGlibc {
  /** "2.36" */
  readonly version: string;
  /** Of its libc. */
  readonly path: string;
  /** "the machine's own", "of the host tree /srv/debian-13", … */
  readonly whose: string;
  readonly isAskedFor: boolean;
  readonly others: readonly { readonly version: string; readonly path: string; readonly whose: string }[];
  readonly way: GlibcWay;
  /** What is done where the kernel does not permit it: that is only known when it is tried. */
  readonly otherwise: GlibcWay | null;
}

export interface PlannedCapsule {
  /** The host tree. */
  readonly tree: string;
  readonly isolated: readonly IsolatedLibrary[];
  /** What these need, and only they see. */
  readonly dependencies: readonly PlannedLibrary[];
  /** Asked for, and left to the runtime. */
  readonly left: readonly (Asked & { readonly soname: string; readonly why: string })[];
  /** Functions that the program gets in place of isolated libraries' own. */
  readonly hooks: readonly Hook[];
  /** What the host's libraries find in their environment. */
  readonly environment: readonly {
    readonly name: string;
    readonly value: string;
    /** The user has set it, and that is what they find. */
    readonly isOverridden: boolean;
  }[];
}

export interface PlannedLibrary {
  readonly soname: string;
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
  readonly source: PlannedSource;
  readonly treeSource: PlannedSource;
}

export interface IsolatedLibrary extends Asked {
  readonly soname: string;
  readonly path: string;
  readonly why: string;
  /** `start`: the program or one of its libraries needs it. `use`: somebody may open it. `unknown`: of a program that cannot be looked at. */
  readonly when: "start" | "use" | "unknown";
  /** Files of the program's side that need it at the start. */
  readonly neededBy: readonly string[];
}

export interface SharedLibrary {
  readonly soname: string;
  /** The one copy. */
  readonly path: string;
  /** Files in capsules that need it. */
  readonly neededBy: readonly string[];
}

export interface PlannedSetting {
  /** As in a file; `libraries.SONAME` for the host tree of one library. */
  readonly name: string;
  readonly value: string | readonly string[] | null;
  readonly source: PlannedSource;
}

/** A flag, a variable, a file, or the default. */
export interface PlannedSource {
  readonly kind: Source["kind"];
  /** Of the flag or the variable; of the file its path; null for a default. */
  readonly name: string | null;
  /** Of the file, from 1, where it can be told. */
  readonly line: number | null;
}
