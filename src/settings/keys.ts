// The settings: one name each, for the flag and in files, and the variable for the same.

interface Key {
  /** As help shows it. */
  readonly value: string;
  readonly variable?: string;
  /** Several values: an array in a file, repeatable as a flag. */
  readonly isList?: boolean;
  /** Its value is a directory, or may be, after an equals sign if there is one. */
  readonly isPath?: boolean;
  readonly summary: string;
}

const SETTINGS = {
  host: { value: "DIR", variable: "CAPSULE_PREFIX", isPath: true, summary: "the tree to take libraries from" },
  runtime: {
    value: "DIR",
    variable: "CAPSULE_RUNTIME",
    isPath: true,
    summary: "the tree with the program's own libraries",
  },
  isolate: {
    value: "SONAME",
    isList: true,
    isPath: true,
    summary: "libraries to take from the host tree, or from another: SONAME=DIR",
  },
  profile: { value: "NAME", isList: true, summary: "libraries that belong together" },
  "host-libraries": {
    value: "PATH",
    variable: "CAPSULE_HOST_LIBRARIES",
    isList: true,
    summary: "more directories of the host tree with libraries",
  },
  "host-shares": {
    value: "PATH",
    variable: "CAPSULE_HOST_SHARES",
    isList: true,
    summary: "more directories of the host tree with what /usr/share has",
  },
  glibc: { value: "CHOICE", variable: "CAPSULE_GLIBC", isPath: true, summary: "whose glibc all of it runs on" },
  mode: { value: "MODE", variable: "CAPSULE_MODE", summary: "where the program runs" },
  "mount-namespace": {
    value: "CHOICE",
    variable: "CAPSULE_MOUNT_NAMESPACE",
    summary: "attached, on another glibc than the machine's",
  },
  trace: { value: "CATEGORY", variable: "CAPSULE_DEBUG", isList: true, summary: "what is told on standard error" },
} satisfies Record<string, Key>;

export type Name = keyof typeof SETTINGS;

export const KEYS: Readonly<Record<Name, Key>> = SETTINGS;

export const NAMES = Object.keys(KEYS) as readonly Name[];

/** The variable that gives one library its own host tree. */
export const variableOf = (soname: string): string =>
  `CAPSULE_${soname.toUpperCase().replace(/[^A-Z0-9]/g, "_")}_PREFIX`;
