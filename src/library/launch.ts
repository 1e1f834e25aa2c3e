// Starts programs for scripts: runs the command itself, in a process that becomes the program, with a channel on which
// it reports events.

import { closeSync, statSync } from "node:fs";
import type { Subprocess } from "bun";
import { ENGINE_SETTINGS } from "../diagnostics/engine-settings.ts";
import { errorOf } from "../diagnostics/error-data.ts";
import { EXIT, ProgramError } from "../diagnostics/errors.ts";
import type { CapsuleEvent } from "../diagnostics/events.ts";
import { withKept } from "../handover/environment.ts";
import { calledFrom, framesAbove } from "./caller.ts";
import { commandLine, LAUNCH_KINDS, type LaunchOptions } from "./launch-options.ts";
import { checkOptions, type Started, startedBy } from "./options.ts";
import { ownBun, ownFile } from "./own-file.ts";

/**
 * Standard input, output and error, as for bun's `spawn`: `"inherit"`, `"ignore"`, `"pipe"`, a file, a descriptor, …
 *
 * @typeParam In the type of `stdin`
 * @typeParam Out the type of `stdout`
 * @typeParam Err the type of `stderr`
 */
export interface StdioOptions<
  In extends Bun.Spawn.Writable = Bun.Spawn.Writable,
  Out extends Bun.Spawn.Readable = Bun.Spawn.Readable,
  Err extends Bun.Spawn.Readable = Bun.Spawn.Readable,
> {
  /** The program's standard input. Default: `"inherit"`. */
  readonly stdin?: In;
  /** The program's standard output. Default: `"inherit"`. */
  readonly stdout?: Out;
  /** The standard error of the program and of capsule itself. Default: `"inherit"`. */
  readonly stderr?: Err;
}

export interface Ended {
  /** 0 to 255. null if a signal ended it. */
  readonly exitCode: number | null;
  /** Such as `SIGSEGV`. null if it exited. */
  readonly signal: NodeJS.Signals | null;
  /** Whether it was ended because of `timeout`, or because `signal` was aborted. null if it ended otherwise. */
  readonly stoppedBy: "timeout" | "abort" | null;
}

/** How long to wait for the last events after the program has ended, in milliseconds. */
const LATE = 1000;

/** The descriptor on which the command reports events. */
const EVENTS = 3;

/**
 * A program that {@link spawn} has started. `await using` ends it with `SIGTERM` and waits for its end.
 *
 * @typeParam In the type of the `stdin` option
 * @typeParam Out the type of the `stdout` option
 * @typeParam Err the type of the `stderr` option
 */
export class Running<
  In extends Bun.Spawn.Writable = Bun.Spawn.Writable,
  Out extends Bun.Spawn.Readable = Bun.Spawn.Readable,
  Err extends Bun.Spawn.Readable = Bun.Spawn.Readable,
> {
  readonly #process: Subprocess<In, Out, Err>;
  readonly #hasStarted = Promise.withResolvers<void>();
  readonly #isOver = Promise.withResolvers<void>();
  readonly #name: string;
  #isStarted = false;
  #stoppedBy: Ended["stoppedBy"] = null;
  #failure: Error | undefined;
  #stopListening = (): void => {};
  readonly #onEvent: ((event: CapsuleEvent) => void) | undefined;
  /** Who has started it, for the stacks of errors. */
  readonly #frames: string;

  /**
   * Resolves when the program has ended. Processes that it started may still be running. If capsule could not run the
   * program, this rejects with what {@link exec} throws, or with what `onEvent` threw, if that came first.
   */
  readonly exited: Promise<Ended>;

  /** @internal */
  constructor(
    process: Subprocess<In, Out, Err>,
    name: string,
    { onEvent, signal, timeout, killSignal }: LaunchOptions,
    frames: string,
  ) {
    this.#frames = frames;
    this.#process = process;
    this.#name = name;
    this.#onEvent = onEvent;
    const stop = (by: "timeout" | "abort") => () => {
      this.#stoppedBy ??= by;
      process.kill(killSignal);
    };
    const onAbort = stop("abort");
    signal?.addEventListener("abort", onAbort, { once: true });
    const timer = timeout && Number.isFinite(timeout) ? setTimeout(stop("timeout"), timeout) : undefined;
    void process.exited.then(() => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
    });
    this.#hasStarted.promise.catch(() => undefined);
    this.exited = this.#end(this.#listen(process.stdio[EVENTS] as number));
  }

  /** The program's process, from the beginning. */
  get pid(): number {
    return this.#process.pid;
  }

  /** Like bun's own: a FileSink for a pipe. */
  get stdin(): Subprocess<In, Out, Err>["stdin"] {
    return this.#process.stdin;
  }

  /** Like bun's own: a ReadableStream for a pipe. */
  get stdout(): Subprocess<In, Out, Err>["stdout"] {
    return this.#process.stdout;
  }

  /** Like bun's own: a ReadableStream for a pipe. */
  get stderr(): Subprocess<In, Out, Err>["stderr"] {
    return this.#process.stderr;
  }

  /**
   * Resolves when preparation is complete and the process becomes the program. If it never does, rejects
   * like {@link exited}.
   */
  get started(): Promise<void> {
    // A caller that awaits only this promise learns of a failure here.
    this.exited.catch(() => undefined);
    return this.#hasStarted.promise;
  }

  /**
   * Sends the program a signal. Does nothing if it has ended.
   *
   * @param signal its name or number. Default: `SIGTERM`
   */
  kill(signal?: NodeJS.Signals | number): void {
    this.#process.kill(signal);
  }

  /** Ends it with `SIGTERM`, and waits for its end. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.kill();
    await this.exited.catch(() => undefined);
  }

  async #end(listening: Promise<void>): Promise<Ended> {
    await this.#process.exited;
    await Promise.race([this.#isOver.promise, listening, Bun.sleep(LATE)]);
    // Processes that outlive the program may still report events. They are ignored.
    this.#stopListening();
    await listening;
    const { exitCode, signalCode } = this.#process;
    const signal = signalCode as NodeJS.Signals | null;
    const how = signal === null ? `with exit code ${exitCode}` : `by ${signal}`;
    const unstarted = `Cannot run "${this.#name}": capsule has ended ${how} before it was started`;
    const failure =
      this.#failure ??
      (this.#isStarted ? undefined : calledFrom(new ProgramError(unstarted, EXIT.notRunnable), this.#frames));
    if (failure) this.#hasStarted.reject(failure);
    // If a signal ended it before it started, that was intended.
    if (failure && (this.#failure || signal === null)) throw failure;
    return { exitCode, signal, stoppedBy: this.#stoppedBy };
  }

  async #listen(descriptor: number): Promise<void> {
    const reader = Bun.file(descriptor).stream().getReader();
    this.#stopListening = () => void reader.cancel();
    const decoder = new TextDecoder();
    let rest = "";
    try {
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        const lines = (rest + decoder.decode(value, { stream: true })).split("\n");
        rest = lines.pop() ?? "";
        for (const line of lines) this.#hear(JSON.parse(line) as CapsuleEvent);
      }
    } finally {
      closeSync(descriptor);
    }
  }

  #hear(event: CapsuleEvent): void {
    const isOwn = "pid" in event && event.pid === this.pid;
    if (event.event === "start" && isOwn) {
      this.#isStarted = true;
      this.#hasStarted.resolve();
    }
    if (event.event === "failed" && event.isFatal && isOwn)
      this.#failure = calledFrom(errorOf(event.error), this.#frames);
    try {
      this.#onEvent?.(event);
    } catch (error) {
      this.#failure ??= error instanceof Error ? error : new Error(String(error));
    }
    if (event.event === "ended" && isOwn) this.#isOver.resolve();
  }
}

/**
 * Starts a program on its own libraries and those of a host tree, in a process of its own, like
 * `capsule exec --mode attached`. Returns at once. Failures are reported by {@link Running.exited}.
 *
 * @param program a path, or the name of a program in `PATH`
 * @param list its arguments
 * @param options what comes from where, and how to start it
 * @typeParam In the type of the `stdin` option
 * @typeParam Out the type of the `stdout` option
 * @typeParam Err the type of the `stderr` option
 * @returns the running program. Its process exists already, and becomes the program when preparation is complete.
 * @throws TypeError at once, for an option that there is not, or of a wrong type.
 * @throws {@link ProgramError} at once, if `cwd` does not exist.
 * @throws {@link LinkError} at once, if this library's scripts cannot be found, or unpacked from a bundle.
 * @throws Error at once, the signal's reason, if `signal` is already aborted.
 * @throws Error at once, from bun, for stdio options that it does not accept.
 *
 * @example
 * ```ts
 * import { spawn } from "capsule";
 *
 * const running = spawn("glxinfo", ["-B"], { host: "/run/host", profiles: ["gl"], stdout: "pipe" });
 * const text = await running.stdout.text();
 * const { exitCode, signal } = await running.exited;
 * console.log(exitCode ?? signal, text.match(/OpenGL renderer string: (.*)/)?.[1]);
 * ```
 */
export function spawn<
  In extends Bun.Spawn.Writable = "inherit",
  Out extends Bun.Spawn.Readable = "inherit",
  Err extends Bun.Spawn.Readable = "inherit",
>(
  program: string,
  list?: readonly string[],
  options?: LaunchOptions & StdioOptions<In, Out, Err>,
): Running<In, Out, Err>;
/**
 * The same, with the program and its arguments in an array, as for `Bun.spawn`.
 *
 * @param command the program, then its arguments
 * @param options what comes from where, and how to start it
 * @throws Error as the other form does.
 * @typeParam In the type of the `stdin` option
 * @typeParam Out the type of the `stdout` option
 * @typeParam Err the type of the `stderr` option
 */
export function spawn<
  In extends Bun.Spawn.Writable = "inherit",
  Out extends Bun.Spawn.Readable = "inherit",
  Err extends Bun.Spawn.Readable = "inherit",
>(command: readonly string[], options?: LaunchOptions & StdioOptions<In, Out, Err>): Running<In, Out, Err>;
export function spawn(...given: readonly [unknown, ...unknown[]]): Running {
  return started(startedBy("spawn", given), framesAbove(spawn), "spawn");
}

function started(
  { program, list, options }: Started<LaunchOptions & StdioOptions>,
  frames: string,
  whose: string,
): Running {
  checkOptions(options, LAUNCH_KINDS, whose);
  const { stdin, stdout, stderr, cwd, env = process.env } = options;
  options.signal?.throwIfAborted();
  const [script, bun] = [ownFile("main"), ownBun()];
  if (cwd !== undefined && !statSync(cwd, { throwIfNoEntry: false })?.isDirectory())
    throw new ProgramError(`Cannot run "${program}" in "${cwd}": there is no such directory`, EXIT.notRunnable);
  const child = Bun.spawn(
    [bun.path, "--no-env-file", "--config=/dev/null", script, ...commandLine(program, list, options, EVENTS)],
    {
      stdio: [stdin ?? "inherit", stdout ?? "inherit", stderr ?? "inherit", "pipe"],
      env: { ...withKept(env), ...ENGINE_SETTINGS, ...bun.environment },
      ...(cwd === undefined ? {} : { cwd }),
    },
  );
  return new Running(child, program, options, frames);
}

/**
 * Like {@link spawn}, but waits for the program's end, without blocking the script.
 *
 * @param program a path, or the name of a program in `PATH`
 * @param list its arguments
 * @param options what comes from where, and how to start it
 * @returns how it ended
 * @throws TypeError for an option that there is not, or of a wrong type.
 * @throws {@link ProgramError} if the program is not found or cannot be run.
 * @throws {@link LinkError} if a host tree, or a library in it, is missing or unusable.
 * @throws {@link ElfError} if a library of a host tree is damaged.
 * @throws {@link UsageError} if options, variables or settings are invalid.
 *
 * @example
 * ```ts
 * import { exec, LinkError } from "capsule";
 *
 * try {
 *   const { exitCode, signal } = await exec("./game", ["--fullscreen"], { host: "/run/host" });
 *   console.log(signal ?? exitCode);
 * } catch (error) {
 *   if (!(error instanceof LinkError)) throw error;
 *   console.error(error.message, error.details.tried);
 * }
 * ```
 */
export function exec(program: string, list?: readonly string[], options?: LaunchOptions & StdioOptions): Promise<Ended>;
/**
 * The same, with the program and its arguments in an array, as for `Bun.spawn`.
 *
 * @param command the program, then its arguments
 * @param options what comes from where, and how to start it
 * @throws Error as the other form does.
 */
export function exec(command: readonly string[], options?: LaunchOptions & StdioOptions): Promise<Ended>;
export async function exec(...given: readonly [unknown, ...unknown[]]): Promise<Ended> {
  return started(startedBy("exec", given), framesAbove(exec), "exec").exited;
}
