// What one source, the command line, the environment or a file, sets: texts by setting name. They are parsed later, in
// the same way for all.

import type { Profile } from "../profiles/profiles.ts";
import { KEYS, type Name, variableOf } from "./keys.ts";
import type { Source } from "./source.ts";

/** The text of a setting, or several. */
export interface Said {
  readonly texts: readonly string[];
  readonly source: Source;
}

export interface Layer {
  said(name: Name): Said | undefined;
  /** The host tree of one library. */
  hostOf(soname: string): Said | undefined;
  /** The libraries with their own host tree, as far as they can be listed. */
  readonly sonames: readonly string[];
  /** Profiles defined there. */
  readonly profiles: Readonly<Record<string, Profile>>;
  /** Variables for the program. Without a text: it is to have none of that name. */
  readonly environment: ReadonlyMap<string, Said>;
}

/** Flags as parsed from a command line, or as given by a caller. */
export interface Flags {
  readonly host?: string | undefined;
  readonly hostLibraries?: readonly string[] | undefined;
  readonly hostShares?: readonly string[] | undefined;
  readonly runtime?: string | undefined;
  readonly isolate?: readonly string[] | undefined;
  readonly profile?: readonly string[] | undefined;
  readonly glibc?: string | undefined;
  readonly mode?: string | undefined;
  readonly mountNamespace?: string | undefined;
  readonly trace?: readonly string[] | undefined;
  /** The file to use instead of the usual ones; false for none. */
  readonly settings?: string | false | undefined;
}

const NOTHING: Layer = {
  said: () => undefined,
  hostOf: () => undefined,
  sonames: [],
  profiles: {},
  environment: new Map(),
};

export function flagLayer({ mountNamespace, hostLibraries, hostShares, ...others }: Flags): Layer {
  const values: Readonly<Partial<Record<Name, string | readonly string[] | undefined>>> = {
    ...others,
    "mount-namespace": mountNamespace,
    "host-libraries": hostLibraries,
    "host-shares": hostShares,
  };
  const said = (name: Name): Said | undefined => {
    const value = values[name];
    if (value === undefined || (KEYS[name].isList && value.length === 0)) return undefined;
    return { texts: typeof value === "string" ? [value] : value, source: { kind: "flag", name: `--${name}` } };
  };
  return { ...NOTHING, said };
}

/** Variables of a process. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** Empty variables are ignored. */
export function variableLayer(environment: Environment): Layer {
  const from = (name: string | undefined): Said | undefined => {
    const text = name && environment[name];
    return name && text ? { texts: [text], source: { kind: "variable", name } } : undefined;
  };
  return { ...NOTHING, said: (name) => from(KEYS[name].variable), hostOf: (soname) => from(variableOf(soname)) };
}
