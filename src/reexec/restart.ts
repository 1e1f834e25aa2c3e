// Starting over: this very command once more, in this process, with changes that
// only a new start can have, such as settings that ld.so reads from the environment.
//
// The command is kept from the beginning as it was given (bytes, since neither
// arguments nor variables need be UTF-8): prepare.ts writes over the arguments, and
// libc's environment changes. /proc/self/environ is no help: ld.so has ended each
// setting in GLIBC_TUNABLES with a NUL there (2.31–2.36 at least). What has been
// changed is said in one more variable, at the end, so that the new process knows
// that it has been started over and gives the program the environment that the user
// has set.

import type { Exec } from "../../lib/process/exec.ts";

/** The last of the environment: MARK=CHANGES, JSON of each changed variable and its former value, null for none. */
const MARK = "CAPSULE_STARTED_OVER";
/** JSON of a Through, where there is one. */
const THROUGH = "CAPSULE_STARTED_THROUGH";

/** An ld.so that is started by name, to run on another glibc than the one that the kernel finds. */
export interface Through {
  readonly loader: string;
  /** --library-path */
  readonly path: string;
  /** It can be told argv[0] (glibc 2.33). */
  readonly takesArgv0: boolean;
  /** For GCONV_PATH, unless the user has set it. */
  readonly characterSets: string | undefined;
  /** This command's own file, Bun's: /proc/self/exe is the ld.so then. */
  readonly program: string;
  /** How often it has been started over by an ld.so. */
  readonly attempt: number;
}

export interface Command {
  /** Descriptors that were open when it began. Bun has marked them close-on-exec. */
  readonly descriptors: ReadonlySet<number>;
  /** What it was started through. */
  readonly through: Through | undefined;
  /** As they were given, without an ld.so's own. */
  arguments(): Uint8Array[];
  /** NAME=VALUE */
  environment(): Uint8Array[];
}

/** The file of the program that this process runs, by the kernel, without anything in between. */
export const ownFile = ({ through }: Pick<Command, "through">): string => through?.program ?? SELF;

/**
 * From what the kernel has told it: its arguments as /proc has them, and its environment. To be asked before anything
 * of it is changed.
 */
export function commandOf(
  descriptors: ReadonlySet<number>,
  cmdline: Uint8Array,
  environment: () => Uint8Array[],
): Command {
  const through = throughOf();
  return {
    descriptors,
    through,
    arguments: () => (through ? withoutLoader(stringsIn(cmdline), through) : stringsIn(cmdline)),
    environment,
  };
}

/** How this process was started over, if it was by an ld.so's name. */
export function throughOf(
  environment: Readonly<Record<string, string | undefined>> = process.env,
): Through | undefined {
  const text = environment[THROUGH];
  if (text === undefined) return undefined;
  try {
    const through = JSON.parse(text) as Partial<Through> | null;
    const texts = [through?.loader, through?.path, through?.program];
    return texts.every((value) => typeof value === "string") ? (through as Through) : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** ld.so's own arguments are in front of the program's. */
function withLoader([name = EMPTY, ...list]: readonly Uint8Array[], through: Through): Uint8Array[] {
  const { loader, path, takesArgv0, program } = through;
  const texts = (...words: string[]) => words.map((word) => Buffer.from(word));
  const named = takesArgv0 ? [...texts("--argv0"), name] : [];
  return [...texts(loader), ...named, ...texts("--library-path", path, program), ...list];
}

function withoutLoader(list: readonly Uint8Array[], { takesArgv0, program }: Through): Uint8Array[] {
  const [, , name = EMPTY] = list;
  return [takesArgv0 ? name : Buffer.from(program), ...list.slice(takesArgv0 ? 6 : 4)];
}

const EMPTY = new Uint8Array(0);

/** Strings that each end with a NUL. */
export function stringsIn(bytes: Uint8Array): Uint8Array[] {
  const strings: Uint8Array[] = [];
  for (let start = 0; start < bytes.length; ) {
    const end = bytes.indexOf(0, start);
    strings.push(bytes.subarray(start, end < 0 ? bytes.length : end));
    start = end < 0 ? bytes.length : end + 1;
  }
  return strings;
}

/** What was changed when this process was started over: the user's own values. Empty where it was not. */
export function formerVariables(
  environment: Readonly<Record<string, string | undefined>> = process.env,
): ReadonlyMap<string, string | undefined> {
  const text = environment[MARK];
  if (text === undefined) return new Map();
  try {
    const changes = Object.entries(JSON.parse(text) as Record<string, unknown>);
    return new Map(changes.map(([name, value]) => [name, typeof value === "string" ? value : undefined]));
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof TypeError) return new Map();
    throw error;
  }
}

/** The changes to the environment that undo it, for the program. */
export function withoutRestart(
  environment: Readonly<Record<string, string | undefined>>,
): Map<string, string | undefined> {
  const changes = new Map(formerVariables(environment));
  if (environment[MARK] !== undefined) changes.set(MARK, undefined);
  return changes;
}

interface Changes {
  /** Undefined for a variable that goes. */
  readonly environment: ReadonlyMap<string, string | undefined>;
  /** Else as it was started before. */
  readonly through?: Through | "none";
}

/**
 * Ends this process's program and starts the command anew, in the same process: its id, directory and standard streams
 * stay, and the descriptors that it began with (Bun's own are all close-on-exec). Throws where the kernel refuses.
 */
export function restart(exec: Pick<Exec, "execute" | "passOn">, command: Command, changes: Changes): never {
  const through = changes.through === "none" ? undefined : (changes.through ?? command.through);
  const environment = new Map(changes.environment);
  if (changes.through) {
    environment.set(THROUGH, through && JSON.stringify(through));
    setCharacterSets(environment, through);
  }
  const former: Record<string, string | null> = Object.fromEntries(
    [...formerVariables()].map(([name, value]) => [name, value ?? null]),
  );
  const given = command.environment();
  const variables: Uint8Array[] = [];
  for (const variable of given) {
    const [name] = nameAndValue(variable);
    const changed = environment.get(name);
    if (name === MARK || (environment.has(name) && changed === undefined)) continue;
    variables.push(changed === undefined ? variable : Buffer.from(`${name}=${changed}`));
  }
  for (const [name, value] of environment) {
    const before = given.map(nameAndValue).find(([other]) => other === name);
    if (!before && value !== undefined) variables.push(Buffer.from(`${name}=${value}`));
    // Started over twice: the user's own is what was there before the first time.
    if (!Object.hasOwn(former, name)) former[name] = before ? before[1] : null;
  }
  variables.push(Buffer.from(`${MARK}=${JSON.stringify(former)}`));
  for (const descriptor of command.descriptors) exec.passOn(descriptor);
  const file = through?.loader ?? (command.through ? command.through.program : SELF);
  const list = through ? withLoader(command.arguments(), through) : command.arguments();
  const errno = exec.execute(file, list, variables);
  throw new Error(`Cannot start over: execve of "${file}" failed with errno ${errno}`);
}

/** Where libc looks for character sets. */
const CHARACTER_SETS = "GCONV_PATH";

function setCharacterSets(environment: Map<string, string | undefined>, through: Through | undefined): void {
  const former = formerVariables();
  const given = former.has(CHARACTER_SETS) ? former.get(CHARACTER_SETS) : process.env[CHARACTER_SETS];
  if (given === undefined) environment.set(CHARACTER_SETS, through?.characterSets);
}

/** Does libc have to look for character sets before the program's own environment is restored? It does so once. */
export const hasCharacterSets = (): boolean => formerVariables().has(CHARACTER_SETS);

/** Also where the file has been replaced or deleted meanwhile. */
const SELF = "/proc/self/exe";

function nameAndValue(variable: Uint8Array): [name: string, value: string] {
  const text = Buffer.from(variable).toString();
  const end = text.indexOf("=");
  return end < 0 ? [text, ""] : [text.slice(0, end), text.slice(end + 1)];
}
