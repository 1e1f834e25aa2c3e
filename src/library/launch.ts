// Starts programs for scripts: the command itself, in a process that turns into the
// program, with a channel by which it tells what happens.

import { closeSync, statSync } from "node:fs";
import type { Subprocess } from "bun";
import { ENGINE_SETTINGS } from "../diagnostics/engine-settings.ts";
import { errorOf } from "../diagnostics/error-data.ts";
import { EXIT, ProgramError } from "../diagnostics/errors.ts";
import type { CapsuleEvent } from "../diagnostics/events.ts";
import { withKept } from "../handover/environment.ts";
import { commandLine, type LaunchOptions } from "./launch-options.ts";
import { ownBun, ownFile } from "./own-file.ts";

/**
 * Standard input, output and error, as bun's own `spawn` takes them: `"inherit"`, `"ignore"`, `"pipe"`, a file, a
 * descriptor, …
 *
 * @typeParam In of `stdin`
 * @typeParam Out of `stdout`
 * @typeParam Err of `stderr`
 */
export interface StdioOptions<
  In extends Bun.Spawn.Writable = Bun.Spawn.Writable,
  Out extends Bun.Spawn.Readable = Bun.Spawn.Readable,
  Err extends Bun.Spawn.Readable = Bun.Spawn.Readable,
> {
  /** What the program reads. Default: `"inherit"`. */
  readonly stdin?: In;
  /** Where the program writes. Default: `"inherit"`. */
  readonly stdout?: Out;
  /** Where the program, and capsule itself, write what is wrong. Default: `"inherit"`. */
  readonly stderr?: Err;
}

/** How a program has ended. */
export interface Ended {
  /** 0 to 255; null where a signal has ended it. */
  readonly exitCode: number | null;
  /** Such as `SIGSEGV`; null where it has exited. */
  readonly signal: NodeJS.Signals | null;
  /**
   * Whether it was told to end because it took longer than `timeout`, or because `signal` was aborted; null where it
   * has ended by itself, or by others.
   */
  readonly stoppedBy: "timeout" | "abort" | null;
}

/** How long the last events may take that come when the program has ended, in milliseconds. */
const LATE = 1000;

/** The descriptor by which the command tells what happens. */
const EVENTS = 3;

/**
 * A program that has been started, by {@link spawn}. `await using` ends it by `SIGTERM` and waits for its end.
 *
 * @typeParam In what `stdin` was to be
 * @typeParam Out what `stdout` was to be
 * @typeParam Err what `stderr` was to be
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

  /**
   * Settles when the program has ended; what it has started may go on. Where capsule could not run it, this rejects as
   * {@link exec} throws; and with what `onEvent` has thrown, if that was first.
   */
  readonly exited: Promise<Ended>;

  /** @internal */
  constructor(
    process: Subprocess<In, Out, Err>,
    name: string,
    { onEvent, signal, timeout, killSignal }: LaunchOptions,
  ) {
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

  /** As bun's own: a FileSink where it was to be a pipe. */
  get stdin(): Subprocess<In, Out, Err>["stdin"] {
    return this.#process.stdin;
  }

  /** As bun's own: a ReadableStream where it was to be a pipe. */
  get stdout(): Subprocess<In, Out, Err>["stdout"] {
    return this.#process.stdout;
  }

  /** As bun's own: a ReadableStream where it was to be a pipe. */
  get stderr(): Subprocess<In, Out, Err>["stderr"] {
    return this.#process.stderr;
  }

  /**
   * Settles when all is prepared and the process turns into the program; rejects as {@link exited} does where it never
   * does.
   */
  get started(): Promise<void> {
    // Who waits for this one hears of a failure here.
    this.exited.catch(() => undefined);
    return this.#hasStarted.promise;
  }

  /**
   * Sends the program a signal; nothing where it has ended.
   *
   * @param signal its name or number. Default: `SIGTERM`
   */
  kill(signal?: NodeJS.Signals | number): void {
    this.#process.kill(signal);
  }

  /** Ends it by `SIGTERM`, and waits for its end. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.kill();
    await this.exited.catch(() => undefined);
  }

  async #end(listening: Promise<void>): Promise<Ended> {
    await this.#process.exited;
    await Promise.race([this.#isOver.promise, listening, Bun.sleep(LATE)]);
    // What it leaves behind may go on telling; nobody listens.
    this.#stopListening();
    await listening;
    const { exitCode, signalCode } = this.#process;
    const signal = signalCode as NodeJS.Signals | null;
    if (!this.#failure && !this.#isStarted) {
      const how = signal === null ? `with exit code ${exitCode}` : `by ${signal}`;
      const unstarted = new ProgramError(
        `Cannot run "${this.#name}": capsule has ended ${how} before it was started`,
        EXIT.notRunnable,
      );
      this.#hasStarted.reject(unstarted);
      // Who was not to go on has ended as was wanted.
      if (signal === null) throw unstarted;
    }
    if (this.#failure) {
      this.#hasStarted.reject(this.#failure);
      throw this.#failure;
    }
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
    if (event.event === "failed" && event.isFatal && isOwn) this.#failure = errorOf(event.error);
    try {
      this.#onEvent?.(event);
    } catch (error) {
      this.#failure ??= error instanceof Error ? error : new Error(String(error));
    }
    if (event.event === "ended" && isOwn) this.#isOver.resolve();
  }
}

/**
 * Starts a program on its own libraries with those of a host tree, in a process of its own, as `capsule exec --mode
 * attached` does. Returns at once; what is wrong is told by {@link Running.exited}.
 *
 * @param program a path, or a name that `PATH` has
 * @param list its arguments
 * @param options what comes from where, and what it is started with
 * @typeParam In what `stdin` is to be
 * @typeParam Out what `stdout` is to be
 * @typeParam Err what `stderr` is to be
 * @returns the program that runs. Its process is there, which turns into it when all is prepared.
 * @throws {@link ProgramError} at once, for a `cwd` that is not there.
 * @throws {@link LinkError} at once, where this library's own files, or Bun, are not to be found: see {@link openCapsule}.
 * @throws Error at once, the signal's reason, where that is aborted already.
 * @throws Error by bun, at once, for stdio options that it does not take.
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
  list: readonly string[] = [],
  options: LaunchOptions & StdioOptions<In, Out, Err> = {},
): Running<In, Out, Err> {
  const { stdin, stdout, stderr, cwd, env = process.env } = options;
  options.signal?.throwIfAborted();
  const script = ownFile("main");
  if (cwd !== undefined && !statSync(cwd, { throwIfNoEntry: false })?.isDirectory())
    throw new ProgramError(`Cannot run "${program}" in "${cwd}": there is no such directory`, EXIT.notRunnable);
  const child = Bun.spawn(
    [ownBun(), "--no-env-file", "--config=/dev/null", script, ...commandLine(program, list, options, EVENTS)],
    {
      stdio: [(stdin ?? "inherit") as In, (stdout ?? "inherit") as Out, (stderr ?? "inherit") as Err, "pipe"],
      env: { ...withKept(env), ...ENGINE_SETTINGS },
      ...(cwd === undefined ? {} : { cwd }),
    },
  );
  return new Running(child as Subprocess<In, Out, Err>, program, options);
}

/**
 * As {@link spawn}, and waits for the program's end. The script lives on meanwhile.
 *
 * @param program a path, or a name that `PATH` has
 * @param list its arguments
 * @param options what comes from where, and what it is started with
 * @returns how it has ended
 * @throws {@link ProgramError} for a program that is not found or cannot be run.
 * @throws {@link LinkError} for a host tree, or a library in it, that is missing or cannot be used.
 * @throws {@link ElfError} for a library of a host tree that is unsound.
 * @throws {@link UsageError} for options, variables and settings that mean nothing.
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
export const exec = async (
  program: string,
  list: readonly string[] = [],
  options: LaunchOptions & StdioOptions = {},
): Promise<Ended> => spawn(program, list, options).exited;
