// Starting over: executes this same command again in this process, with changes that only a new start can apply, such
// as settings that ld.so reads from the environment.
//
// The command is kept from the beginning as it was given (bytes, since neither arguments nor variables need be UTF-8):
// prepare.ts overwrites the arguments, and libc's environment changes. /proc/self/environ is no help: ld.so has ended
// each setting in GLIBC_TUNABLES with a NUL there (2.31–2.36 at least). One more variable, at the end, records the
// changes, so that the new process knows that it was started over and gives the program the user's own environment.

import type { Exec } from "../../lib/process/exec.ts";
import { unless } from "../../lib/unless.ts";
import type { Environment } from "../directories/user-cache.ts";

/** The last variable: MARK=CHANGES, JSON of each changed variable's former value, null for none. */
const MARK = "CAPSULE_STARTED_OVER";
/** JSON of a Through, if there is one. */
const THROUGH = "CAPSULE_STARTED_THROUGH";

/** An ld.so that is started by name, to run on another glibc than the kernel's choice. */
export interface Through {
  readonly loader: string;
  /** --library-path */
  readonly path: string;
  /** It has --argv0 (glibc 2.33). */
  readonly takesArgv0: boolean;
  /** For GCONV_PATH, unless the user has set it. */
  readonly characterSets: string | undefined;
  /** This command's own file, Bun's: /proc/self/exe is the ld.so then. */
  readonly program: string;
  /** How often it has been started over by an ld.so. */
  readonly attempt: number;
}

export type Command = ReturnType<typeof commandOf>;

/** The program file of this process, without an ld.so in between. */
export const ownFile = ({ through }: Pick<Command, "through">): string => through?.program ?? SELF;

/**
 * The command from its arguments, as in /proc, and its environment. To be called before any of these is changed.
 * `descriptors` were open when it began: Bun has marked them close-on-exec.
 */
export function commandOf(
  descriptors: ReadonlySet<number>,
  cmdline: Uint8Array,
  /** NAME=VALUE */
  environment: () => Uint8Array[],
) {
  /** The ld.so that it was started through. */
  const through = throughOf();
  /** As given, without an ld.so's own arguments. */
  const given = () => (through ? withoutLoader(stringsIn(cmdline), through) : stringsIn(cmdline));
  return { descriptors, through, arguments: given, environment };
}

/** The ld.so that started this process over by name; undefined if none did. */
export function throughOf(): Through | undefined {
  const through = jsonIn(process.env[THROUGH]) as Partial<Through> | null | undefined;
  const texts = [through?.loader, through?.path, through?.program];
  return texts.every((value) => typeof value === "string") ? (through as Through) : undefined;
}

/** What JSON says; undefined for anything else. */
export const jsonIn = (text: string | undefined): unknown =>
  text === undefined ? undefined : unless([SyntaxError], (): unknown => JSON.parse(text));

/** ld.so's own arguments precede the program's. */
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

/** Splits NUL-terminated strings. */
export function stringsIn(bytes: Uint8Array): Uint8Array[] {
  const strings: Uint8Array[] = [];
  for (let start = 0; start < bytes.length; ) {
    const end = bytes.indexOf(0, start);
    strings.push(bytes.subarray(start, end < 0 ? bytes.length : end));
    start = end < 0 ? bytes.length : end + 1;
  }
  return strings;
}

/** The user's values of variables that were changed when this process was started over. Empty if it was not. */
export function formerVariables(environment: Environment = process.env): ReadonlyMap<string, string | undefined> {
  const changes = Object.entries(jsonIn(environment[MARK]) ?? {});
  return new Map(changes.map(([name, value]) => [name, typeof value === "string" ? value : undefined]));
}

/** The changes to the environment that undo this for the program. */
export function withoutReexec(environment: Environment): Map<string, string | undefined> {
  const changes = new Map(formerVariables(environment));
  if (environment[MARK] !== undefined) changes.set(MARK, undefined);
  return changes;
}

interface Changes {
  /** Undefined for a variable to remove. */
  readonly environment: ReadonlyMap<string, string | undefined>;
  /** By default as before. */
  readonly through?: Through | "none";
  /** Changes that are the user's own: the program gets them, too. */
  readonly users?: ReadonlyMap<string, string | undefined>;
}

/**
 * Executes the command again in the same process: its id, directory, standard streams and initial descriptors stay
 * (Bun's own are all close-on-exec). Throws if the kernel refuses.
 */
export function reexec(exec: Exec, command: Command, changes: Changes): never {
  const through = changes.through === "none" ? undefined : (changes.through ?? command.through);
  const environment = new Map(changes.environment);
  const formerly = formerVariables();
  if (changes.through) {
    environment.set(THROUGH, through && JSON.stringify(through));
    const own = formerly.has(CHARACTER_SETS) ? formerly.get(CHARACTER_SETS) : process.env[CHARACTER_SETS];
    if (own === undefined) environment.set(CHARACTER_SETS, through?.characterSets);
  }
  const users = new Map(changes.users);
  // What capsule has changed stays as it is, and the program gets the user's.
  const given = changed(command.environment(), new Map([...users].filter(([name]) => !formerly.has(name))));
  // getenv(3) finds the first one of a name.
  const before = new Map(given.map(nameAndValue).reverse());
  // If this is the second time, the user's value is the one before the first.
  const former = new Map([...environment.keys()].map((name) => [name, before.get(name)]));
  for (const [name, value] of formerly) former.set(name, users.has(name) ? users.get(name) : value);
  const texts = Array.from(former, ([name, value]) => [name, value ?? null]);
  const mark = Buffer.from(JSON.stringify(Object.fromEntries(texts)));
  const variables = changed(changed(given, new Map(environment).set(MARK, undefined)), new Map([[MARK, mark]]));
  for (const descriptor of command.descriptors) exec.passOn(descriptor);
  const file = through?.loader ?? ownFile(command);
  const list = through ? withLoader(command.arguments(), through) : command.arguments();
  const errno = exec.execute(file, list, variables);
  throw new Error(`Cannot start over: execve of "${file}" failed with errno ${errno}`);
}

/** The variable that tells libc where character sets are. */
const CHARACTER_SETS = "GCONV_PATH";

/** Must libc load its character sets before the program's own environment is restored? It searches only once. */
export const hasCharacterSets = (): boolean => formerVariables().has(CHARACTER_SETS);

/** Works even if the file has been replaced or deleted. */
const SELF = "/proc/self/exe";

function nameAndValue(variable: Uint8Array): [name: string, value: string] {
  const text = Buffer.from(variable).toString();
  const end = text.indexOf("=");
  return end < 0 ? [text, ""] : [text.slice(0, end), text.slice(end + 1)];
}

/** One character a byte. */
export function nameOf(variable: Uint8Array): string {
  const end = variable.indexOf("=".charCodeAt(0));
  return Buffer.from(end < 0 ? variable : variable.subarray(0, end)).toString("latin1");
}

/**
 * A list of NAME=VALUE with other values, each in the place of the first variable of that name, the only one to stay,
 * or else at the end. Undefined is for a variable to remove.
 */
export function changed(
  list: readonly Uint8Array[],
  changes: ReadonlyMap<string, string | Uint8Array | undefined>,
): Uint8Array[] {
  const left = new Map(changes);
  const take = (name: string): Uint8Array[] => {
    const value = left.get(name);
    left.delete(name);
    return value === undefined ? [] : [Buffer.concat([Buffer.from(`${name}=`), Buffer.from(value)])];
  };
  const kept = list.flatMap((variable) => (changes.has(nameOf(variable)) ? take(nameOf(variable)) : [variable]));
  return [...kept, ...[...left.keys()].flatMap(take)];
}
