// Starts programs for scripts: the command itself, in a process that turns into the
// program, with a channel by which it tells what happens.

import { closeSync } from "node:fs";
import type { Subprocess } from "bun";
import { ENGINE_SETTINGS } from "../engine-settings.ts";
import { errorOf } from "../error-data.ts";
import type { CapsuleEvent } from "../events.ts";
import { commandLine, type LaunchOptions } from "./launch-options.ts";
import { ownFile } from "./own-file.ts";

/** How bun's own `spawn` takes standard input, output and error. */
export interface StdioOptions<
  In extends Bun.Spawn.Writable = Bun.Spawn.Writable,
  Out extends Bun.Spawn.Readable = Bun.Spawn.Readable,
  Err extends Bun.Spawn.Readable = Bun.Spawn.Readable,
> {
  /** Default: `"inherit"`. */
  readonly stdin?: In;
  /** Default: `"inherit"`. */
  readonly stdout?: Out;
  /** Default: `"inherit"`. */
  readonly stderr?: Err;
}

/** How a program has ended. */
export interface Ended {
  /** null where a signal has ended it. */
  readonly exitCode: number | null;
  /** Such as `SIGSEGV`; null where it has exited. */
  readonly signal: NodeJS.Signals | null;
}

/** How long the last events may take that come when the program has ended, in milliseconds. */
const LATE = 1000;

/** The descriptor by which the command tells what happens. */
const EVENTS = 3;

/** A program that has been started, by {@link spawn}. */
export class Running<
  In extends Bun.Spawn.Writable = Bun.Spawn.Writable,
  Out extends Bun.Spawn.Readable = Bun.Spawn.Readable,
  Err extends Bun.Spawn.Readable = Bun.Spawn.Readable,
> {
  readonly #process: Subprocess<In, Out, Err>;
  readonly #hasStarted = Promise.withResolvers<void>();
  readonly #isOver = Promise.withResolvers<void>();
  #failure: Error | undefined;
  #stopListening = (): void => {};
  readonly #onEvent: ((event: CapsuleEvent) => void) | undefined;

  /**
   * Settles when the program has ended.
   *
   * @throws {ProgramError | LinkError | ElfError | UsageError} where capsule could not run it; with what is at fault, and where it was looked for.
   * What `onEvent` has thrown is thrown here, too.
   */
  readonly exited: Promise<Ended>;

  /** @internal */
  constructor(process: Subprocess<In, Out, Err>, onEvent: ((event: CapsuleEvent) => void) | undefined) {
    this.#process = process;
    this.#onEvent = onEvent;
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

  /** Settles when all is prepared and the process turns into the program; throws as {@link exited} does. */
  get started(): Promise<void> {
    // Who waits for this one hears of a failure here.
    this.exited.catch(() => undefined);
    return this.#hasStarted.promise;
  }

  /** Sends the program a signal. Default: `SIGTERM`. */
  kill(signal?: NodeJS.Signals | number): void {
    this.#process.kill(signal);
  }

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
    const error = this.#failure;
    if (error) {
      this.#hasStarted.reject(error);
      throw error;
    }
    this.#hasStarted.resolve();
    return { exitCode, signal: signalCode as NodeJS.Signals | null };
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
    if (event.event === "start") this.#hasStarted.resolve();
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
 * Starts a program on its own libraries with those of a host tree, in a process of its own, as `capsule exec --mode attached` does. Returns at once; what is wrong
 * is told by {@link Running.exited}.
 *
 * @param program a path, or a name that `PATH` has
 * @param list its arguments
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
  const { stdin, stdout, stderr, cwd, env = process.env, signal, timeout, killSignal, onEvent } = options;
  const script = ownFile("main");
  const child = Bun.spawn(
    [process.execPath, "--no-env-file", "--config=/dev/null", script, ...commandLine(program, list, options, EVENTS)],
    {
      stdio: [(stdin ?? "inherit") as In, (stdout ?? "inherit") as Out, (stderr ?? "inherit") as Err, "pipe"],
      env: { ...env, ...ENGINE_SETTINGS },
      ...(cwd === undefined ? {} : { cwd }),
      ...(signal === undefined ? {} : { signal }),
      ...(timeout === undefined ? {} : { timeout }),
      ...(killSignal === undefined ? {} : { killSignal }),
    },
  );
  return new Running(child as Subprocess<In, Out, Err>, onEvent);
}

/**
 * As {@link spawn}, and waits for the program's end. The script lives on meanwhile.
 *
 * @throws {ProgramError | LinkError | ElfError | UsageError} where capsule could not run it.
 */
export const exec = (
  program: string,
  list: readonly string[] = [],
  options: LaunchOptions & StdioOptions = {},
): Promise<Ended> => spawn(program, list, options).exited;
