// Options by which a script describes a run, and their translation to a command line.

import type { CapsuleEvent } from "../diagnostics/events.ts";
import type { Category } from "../diagnostics/trace.ts";
import type { ProfileName } from "../profiles/profiles.ts";
import type { Kinds } from "./options.ts";

/**
 * A function of a shared object that replaces an isolated library's function for the program. The program's calls and
 * its dlsym get it, without overhead. Calls between the host's libraries are not affected.
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
   * The path of the shared object. It is opened in the capsule, beside the isolated library, whose own function it gets
   * by `dlsym(RTLD_NEXT, …)`, or by name if the hook's name differs. Its dependencies come from the host tree.
   */
  readonly file: string;
  /** Its name. Default: that of the function that it replaces. */
  readonly function?: string;
}

/**
 * What comes from where. Options that are not set come from the environment and from settings files, as for the
 * command.
 */
export interface TreeChoices {
  /**
   * The host tree: a directory laid out like `/`. Default: the first of `/run/host` and `/host` that has libraries,
   * else `/`.
   */
  readonly host?: string;
  /** Additional directories with libraries and drivers, as paths in the host tree. They are searched first. */
  readonly hostLibraries?: readonly string[];
  /** Additional directories that correspond to `/usr/share`, as paths in the host tree. */
  readonly hostShares?: readonly string[];
  /** The tree with the program's own libraries. Default: the machine. */
  readonly runtime?: string;
  /** Libraries to isolate, with their families: sonames, or `SONAME=DIR` for one from another host tree. */
  readonly isolate?: readonly string[];
  /** Profiles to isolate, also those of settings files. Default: all of capsule's own, or none if `isolate` is set. */
  readonly profiles?: readonly (ProfileName | (string & {}))[];
  /**
   * The glibc that everything runs on: `auto` (the newest of all trees), `runtime`, `host`, or a directory. Default:
   * `auto`.
   */
  readonly glibc?: string;
  /** The path of a settings file, or false for none. Default: the files that the command finds. */
  readonly settings?: string | false;
}

/** Functions that replace those of isolated libraries for the program: by soname, then by symbol. */
export type Hooks = Readonly<Record<string, Readonly<Record<string, HookFunction>>>>;

export interface RunChoices extends TreeChoices {
  /**
   * Whether a glibc other than the machine's is put in place by a mount namespace. Default: `auto`, if the kernel
   * permits.
   */
  readonly mountNamespace?: "auto" | "always" | "never";
  /** Functions that replace those of isolated libraries for the program. Default: none. */
  readonly hooks?: Hooks;
}

const RUN_KINDS = {
  host: "text",
  hostLibraries: "texts",
  hostShares: "texts",
  runtime: "text",
  isolate: "texts",
  profiles: "texts",
  glibc: "text",
  settings: "settings",
  mountNamespace: "text",
  hooks: "hooks",
} as const satisfies Record<keyof RunChoices, Kinds[string]>;

/** For {@link plan}. */
export interface PlanOptions extends RunChoices {
  /** The program's arguments. Default: none. */
  readonly arguments?: readonly string[];
  /** Where the program would run. Default: `attached`, as {@link exec} runs programs. */
  readonly mode?: "auto" | "in-process" | "attached";
}

/** @internal */
export const PLAN_KINDS = {
  ...RUN_KINDS,
  arguments: "texts",
  mode: "text",
} as const satisfies Record<keyof PlanOptions, Kinds[string]>;

/** For {@link exec} and {@link spawn}. */
export interface LaunchOptions extends RunChoices {
  /** The program's working directory. Default: this process's. */
  readonly cwd?: string;
  /** The program's environment. Default: this process's. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Ends the program with `killSignal` when it is aborted. */
  readonly signal?: AbortSignal;
  /** The time in milliseconds after which the program is ended with `killSignal`. Default: none. */
  readonly timeout?: number;
  /** The signal with which `signal` and `timeout` end the program: a name or number. Default: `SIGTERM`. */
  readonly killSignal?: NodeJS.Signals | number;
  /**
   * Called with each event while the program runs. If it throws, {@link Running.exited} rejects with that.
   *
   * @param event what has happened
   */
  readonly onEvent?: (event: CapsuleEvent) => void;
  /** Whether `linked` lists the bound symbols of isolated libraries, which takes some milliseconds. Default: no. */
  readonly bindings?: boolean;
  /** Trace categories to print to standard error, as for `--trace`. Default: none. */
  readonly trace?: readonly Category[];
}

/**
 * With those of StdioOptions.
 *
 * @internal
 */
export const LAUNCH_KINDS = {
  ...RUN_KINDS,
  cwd: "text",
  env: "variables",
  signal: "signal",
  timeout: "number",
  killSignal: "numberOrText",
  onEvent: "function",
  bindings: "isSo",
  trace: "texts",
  stdin: "any",
  stdout: "any",
  stderr: "any",
} as const satisfies Record<keyof LaunchOptions | "stdin" | "stdout" | "stderr", Kinds[string]>;

/**
 * The arguments of `capsule exec`. `events` is a descriptor.
 *
 * @internal
 */
export function commandLine(
  program: string,
  list: readonly string[],
  options: LaunchOptions,
  events: number,
): string[] {
  const { host, runtime, isolate, glibc, settings, trace } = options;
  const values = {
    ...{ mode: "attached", events: `${events}`, host, runtime, isolate, glibc, trace },
    "host-libraries": options.hostLibraries,
    "host-shares": options.hostShares,
    profile: options.profiles,
    settings: settings || undefined,
    "mount-namespace": options.mountNamespace,
    hook: hookTexts(options.hooks),
  };
  return [
    "exec",
    ...(options.bindings ? ["--bindings"] : []),
    ...(settings === false ? ["--no-settings"] : []),
    ...Object.entries(values).flatMap(([name, value = []]) => [value].flat().map((text) => `--${name}=${text}`)),
    ...["--", program, ...list],
  ];
}

/**
 * In the format of `--hook`.
 *
 * @internal
 */
export const hookTexts = (hooks: Hooks = {}): string[] =>
  Object.entries(hooks).flatMap(([soname, functions]) =>
    Object.entries(functions).map(
      ([symbol, { file, function: name = symbol }]) => `${soname}:${symbol}=${file}:${name}`,
    ),
  );
