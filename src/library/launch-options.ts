// What a script may say of a run, as the command line that says it.

import type { CapsuleEvent } from "../events.ts";
import type { Category } from "../trace.ts";

/** A function of a shared object. */
export interface HookFunction {
  /** The shared object: a path. It is opened beside the isolated library, and may need that. */
  readonly file: string;
  /** Default: the name of the function that it takes the place of. */
  readonly function?: string;
}

/** What comes from where. What is not said comes from the environment and from settings files, as the command has it. */
export interface TreeChoices {
  /** The host tree: a directory laid out as `/` is. */
  readonly host?: string;
  /** The tree with the program's own libraries. Default: the machine's. */
  readonly runtime?: string;
  /** Libraries to isolate: sonames, or `SONAME=DIR` for one from another host tree. */
  readonly isolate?: readonly string[];
  /** Names of profiles to isolate. Default: all, or none where there is an `isolate`. */
  readonly profiles?: readonly string[];
  /** Whose glibc everything runs on: `auto`, `runtime`, `host`, or a directory. */
  readonly glibc?: string;
  /** The file of settings to use; false for none. */
  readonly settings?: string | false;
}

/** Functions that the program gets in place of isolated libraries' own: by soname, and by symbol. */
export type Hooks = Readonly<Record<string, Readonly<Record<string, HookFunction>>>>;

/** How a program is run. */
export interface RunChoices extends TreeChoices {
  /** Whether another glibc than the machine's comes by a mount namespace. */
  readonly mountNamespace?: "auto" | "always" | "never";
  readonly hooks?: Hooks;
}

/** For {@link plan}. */
export interface PlanOptions extends RunChoices {
  /** The program's. */
  readonly arguments?: readonly string[];
  /** Default: `attached`, as {@link exec} runs programs. */
  readonly mode?: "auto" | "in-process" | "attached";
}

/** For {@link exec} and {@link spawn}. */
export interface LaunchOptions extends RunChoices {
  /** Where the program starts. Default: where this process is. */
  readonly cwd?: string;
  /** The program's environment. Default: this process's. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Ends the program by `killSignal` when it is aborted. */
  readonly signal?: AbortSignal;
  /** After how many milliseconds the program is ended by `killSignal`. */
  readonly timeout?: number;
  /** Default: `SIGTERM`. */
  readonly killSignal?: NodeJS.Signals | number;
  /** Is called with what happens, as long as the program runs. */
  readonly onEvent?: (event: CapsuleEvent) => void;
  /** Whether `linked` tells which symbols of isolated libraries are bound; that takes some milliseconds. */
  readonly bindings?: boolean;
  /** What is told on standard error, as `--trace` does. */
  readonly trace?: readonly Category[];
}

/**
 * The arguments of `capsule exec`; `events` is a descriptor.
 *
 * @internal
 */
export function commandLine(
  program: string,
  list: readonly string[],
  options: LaunchOptions,
  events: number,
): string[] {
  const { host, runtime, isolate = [], profiles = [], glibc, settings, mountNamespace, trace = [] } = options;
  const one = (name: string, value: string | undefined) => (value === undefined ? [] : [`--${name}=${value}`]);
  return [
    ...["exec", "--mode=attached", `--events=${events}`],
    ...(options.bindings ? ["--bindings"] : []),
    ...one("host", host),
    ...one("runtime", runtime),
    ...isolate.flatMap((text) => one("isolate", text)),
    ...profiles.flatMap((name) => one("profile", name)),
    ...one("glibc", glibc),
    ...(settings === false ? ["--no-settings"] : one("settings", settings)),
    ...one("mount-namespace", mountNamespace),
    ...hookTexts(options.hooks).flatMap((text) => one("hook", text)),
    ...trace.flatMap((category) => one("trace", category)),
    ...["--", program, ...list],
  ];
}

/**
 * As `--hook` has them.
 *
 * @internal
 */
export const hookTexts = (hooks: Hooks = {}): string[] =>
  Object.entries(hooks).flatMap(([soname, functions]) =>
    Object.entries(functions).map(
      ([symbol, { file, function: name = symbol }]) => `${soname}:${symbol}=${file}:${name}`,
    ),
  );
