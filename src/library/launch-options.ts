// What a script may say of a run, as the command line that says it.

import type { CapsuleEvent } from "../diagnostics/events.ts";
import type { Category } from "../diagnostics/trace.ts";

/**
 * A function of a shared object, for the program to get in place of an isolated library's. It is called by the
 * program's own calls, at no cost but its own, and by what the program gets by dlsym. What the host's libraries call of
 * each other stays as it is.
 *
 * @example
 * ```ts
 * import { type HookFunction, spawn } from "capsule";
 *
 * const swaps: HookFunction = { file: "./count-swaps.so", function: "count_swaps" };
 * spawn("glxgears", [], { hooks: { "libGL.so.1": { glXSwapBuffers: swaps } } });
 * ```
 */
export interface HookFunction {
  /**
   * The shared object: a path. It is opened in the capsule, beside the isolated library, whose own function it has by
   * `dlsym(RTLD_NEXT, …)`, or by its name where the hook has another. What it needs itself comes from the host tree.
   */
  readonly file: string;
  /** Its name. Default: that of the function that it takes the place of. */
  readonly function?: string;
}

/**
 * What comes from where. What is not said comes from the environment and from settings files, as the command has it.
 */
export interface TreeChoices {
  /**
   * The host tree: a directory laid out as `/` is. Default: the first of `/run/host` and `/host` that has libraries,
   * else `/`.
   */
  readonly host?: string;
  /** More directories of the host tree with libraries and drivers: paths in it. They are searched first. */
  readonly hostLibraries?: readonly string[];
  /** More directories of the host tree with what `/usr/share` has elsewhere: paths in it. */
  readonly hostShares?: readonly string[];
  /** The tree with the program's own libraries. Default: the machine's. */
  readonly runtime?: string;
  /** Libraries to isolate, with their families: sonames, or `SONAME=DIR` for one from another host tree. */
  readonly isolate?: readonly string[];
  /** Profiles to isolate: `gl`, `egl`, `vulkan`, `video`, `cl`, `nvidia`. Default: all, or none where there is an `isolate`. */
  readonly profiles?: readonly string[];
  /**
   * Whose glibc everything runs on: `auto` (the newest of all trees), `runtime`, `host`, or a directory. Default:
   * `auto`.
   */
  readonly glibc?: string;
  /** The file of settings to use, by its path; false for none. Default: those that the command finds. */
  readonly settings?: string | false;
}

/** Functions that the program gets in place of isolated libraries' own: by soname, and by symbol. */
export type Hooks = Readonly<Record<string, Readonly<Record<string, HookFunction>>>>;

/** How a program is run. */
export interface RunChoices extends TreeChoices {
  /**
   * Whether another glibc than the machine's comes by a mount namespace. Default: `auto`, where the kernel permits one.
   */
  readonly mountNamespace?: "auto" | "always" | "never";
  /** Functions that the program gets in place of isolated libraries' own. Default: none. */
  readonly hooks?: Hooks;
}

/** For {@link plan}. */
export interface PlanOptions extends RunChoices {
  /** The program's. Default: none. */
  readonly arguments?: readonly string[];
  /** Where the program would run. Default: `attached`, as {@link exec} runs programs. */
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
  /** After how many milliseconds the program is ended by `killSignal`. Default: never. */
  readonly timeout?: number;
  /** By which `signal` and `timeout` end the program: a name, or a number. Default: `SIGTERM`. */
  readonly killSignal?: NodeJS.Signals | number;
  /**
   * Is called with what happens, as long as the program runs. With what it throws {@link Running.exited} rejects.
   *
   * @param event what has happened
   */
  readonly onEvent?: (event: CapsuleEvent) => void;
  /**
   * Whether `linked` tells which symbols of isolated libraries are bound; that takes some milliseconds. Default: no.
   */
  readonly bindings?: boolean;
  /** What is told on standard error, as `--trace` does. Default: nothing. */
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
  const {
    host,
    hostLibraries = [],
    hostShares = [],
    runtime,
    isolate = [],
    profiles = [],
    glibc,
    settings,
    mountNamespace,
    trace = [],
  } = options;
  const one = (name: string, value: string | undefined) => (value === undefined ? [] : [`--${name}=${value}`]);
  return [
    ...["exec", "--mode=attached", `--events=${events}`],
    ...(options.bindings ? ["--bindings"] : []),
    ...one("host", host),
    ...hostLibraries.flatMap((path) => one("host-libraries", path)),
    ...hostShares.flatMap((path) => one("host-shares", path)),
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
