// Commands in child processes of their own. What capsule does to a process can kill it, and here a crash is a result
// like any other; a hang is not, and fails the test that waited.

import { join } from "node:path";
import { launcher } from "../../scripts/launcher.ts";
import { cacheDirectory } from "./cache.ts";

export const repository = join(import.meta.dir, "..", "..");

const MAIN = join(repository, "src", "main.ts");

/** The command as one executable, which scripts/binary.ts has made, if that is to be tested. */
const { CAPSULE_TEST_BINARY: BINARY } = process.env;

/** The command, of the sources. */
export const COMMAND = BINARY ? [BINARY] : [process.execPath, MAIN];

export interface RunOptions {
  /** Added to the few variables that every child gets; nothing else of our own environment reaches it. */
  env?: Record<string, string>;
  cwd?: string;
  /** What the child reads; without it, /dev/null. */
  stdin?: string;
  /** Milliseconds until the child and its own children are killed. */
  timeout?: number;
  /** What the program finds as argv[0], where that is not the path. */
  argv0?: string;
}

export interface Outcome {
  stdout: string;
  stderr: string;
  /** null when a signal ended it */
  exitCode: number | null;
  signal: string | null;
  /** bytes */
  maxRss: number;
  /** from start to end, in milliseconds */
  duration: number;
}

/** Runs a command to its end. Throws if that takes longer than `timeout`. */
export async function run(argv: string[], options: RunOptions = {}): Promise<Outcome> {
  const { timeout = 30_000 } = options;
  const started = performance.now();
  await using child = start(argv, options);
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    child.kill();
  }, timeout);
  const outcome = await child.end();
  clearTimeout(timer);
  if (isLate) {
    const { stdout, stderr } = outcome;
    throw new Error(
      `Killed after ${timeout} ms: ${argv.join(" ")}\n--- its stdout\n${stdout}\n--- its stderr\n${stderr}`,
    );
  }
  return { ...outcome, duration: performance.now() - started };
}

export interface Running extends AsyncDisposable {
  readonly pid: number;
  readonly hasEnded: boolean;
  /** Kills it and what it has started. */
  kill(): void;
  /** Waits for a line of its output. Throws if it ends, or after `timeout` milliseconds, without one. */
  line(isWanted: (line: string) => boolean, timeout?: number): Promise<string>;
  /** Waits for its end. */
  end(): Promise<Omit<Outcome, "duration">>;
}

/** Starts a command that may go on for as long as the value is in scope. */
export function start(argv: string[], options: Omit<RunOptions, "timeout"> = {}): Running {
  const child = Bun.spawn(argv, {
    env: environment(options.env),
    stdin: options.stdin === undefined ? "ignore" : new Blob([options.stdin]),
    stdout: "pipe",
    stderr: "pipe",
    // a process group of its own, so that killing it reaches what it started and the pipes below come to an end
    detached: true,
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...(options.argv0 === undefined ? {} : { argv0: options.argv0 }),
  });
  const stdout = new Collector(child.stdout);
  const stderr = child.stderr.text();
  const hasEnded = () => child.exitCode !== null || child.signalCode !== null;
  const kill = () => {
    if (!hasEnded()) process.kill(-child.pid, "SIGKILL");
  };
  return {
    pid: child.pid,
    get hasEnded() {
      return hasEnded();
    },
    kill,
    line: (isWanted, timeout = 20_000) => stdout.line(isWanted, timeout),
    async end() {
      await Promise.all([stdout.end, stderr, child.exited]);
      return {
        stdout: stdout.text,
        stderr: await stderr,
        exitCode: child.exitCode,
        signal: child.signalCode === null ? null : String(child.signalCode),
        maxRss: child.resourceUsage()?.maxRSS ?? Number.NaN,
      };
    },
    async [Symbol.asyncDispose]() {
      kill();
      await child.exited;
    },
  };
}

/** Keeps what a child writes, and wakes whoever waits for a certain line of it. */
class Collector {
  text = "";
  readonly end: Promise<void>;
  private hasEnded = false;
  private wake = Promise.withResolvers<void>();

  constructor(stream: ReadableStream<Uint8Array>) {
    this.end = this.collect(stream);
  }

  async line(isWanted: (line: string) => boolean, timeout: number): Promise<string> {
    const late = Promise.withResolvers<"late">();
    const timer = setTimeout(() => late.resolve("late"), timeout);
    try {
      for (;;) {
        const found = this.text.split("\n").slice(0, -1).find(isWanted);
        if (found !== undefined) return found;
        if (this.hasEnded) throw new Error(`It ended without the line that was waited for:\n${this.text}`);
        if ((await Promise.race([this.wake.promise, late.promise])) === "late") {
          throw new Error(`${timeout} ms without the line that was waited for:\n${this.text}`);
        }
      }
    } finally {
      clearTimeout(timer);
    }
  }

  private async collect(stream: ReadableStream<Uint8Array>): Promise<void> {
    const decoder = new TextDecoder();
    for await (const chunk of stream) {
      this.text += decoder.decode(chunk, { stream: true });
      this.signal();
    }
    this.hasEnded = true;
    this.signal();
  }

  private signal(): void {
    this.wake.resolve();
    this.wake = Promise.withResolvers();
  }
}

/** Runs a program as the system itself would. */
export function native(program: string, args: string[] = [], options: RunOptions = {}): Promise<Outcome> {
  return run([program, ...args], options);
}

/** Runs a program by `capsule exec`, from this checkout, on the Bun that runs the tests. */
export function capsule(
  flags: string[],
  program: string,
  args: string[] = [],
  options: RunOptions = {},
): Promise<Outcome> {
  return run(capsuleCommand(flags, program, args, options.env), options);
}

/** Runs one of the command's others: its name, and what follows. */
export const command = (words: string[], options: RunOptions = {}): Promise<Outcome> =>
  run([...COMMAND, ...words], options);

/** `env` is the environment that it will get. */
export function capsuleCommand(
  flags: string[],
  program: string,
  args: string[] = [],
  env: Record<string, string> = {},
): string[] {
  const [variables, options] = BINARY ? [[], []] : firstLine();
  // The same promises hold for a program in a process of its own.
  const mode = process.env.CAPSULE_TEST_MODE ? ["--mode", process.env.CAPSULE_TEST_MODE] : [];
  // And on another glibc than the machine's, that of a tree, in a mount namespace or without one.
  const { CAPSULE_TEST_GLIBC: other, CAPSULE_TEST_MOUNT_NAMESPACE: choice } = process.env;
  const glibc = [...(other ? ["--glibc", other] : []), ...(choice ? ["--mount-namespace", choice] : [])];
  const words = [...(BINARY ? [] : [MAIN]), "exec", ...mode, ...glibc, ...flags, "--", program, ...args];
  return ["/usr/bin/env", ...variables, ...started(env.LD_LIBRARY_PATH), ...options, ...words];
}

/** What the first line of the command as users start it gives to Bun: variables and options. */
function firstLine(): [variables: string[], options: string[]] {
  const [line = ""] = launcher(MAIN).split("\n", 1);
  const words = line.split(" ");
  const at = words.indexOf("bun");
  return [words.slice(0, at).filter((word) => /^\w+=/.test(word)), words.slice(at + 1)];
}

/**
 * The executable as the kernel starts it; or by the ld.so of the tree that CAPSULE_TEST_BASE names, called by name. Then
 * --library-path takes the place of LD_LIBRARY_PATH, so that has to be in it.
 */
function started(libraryPath: string | undefined): string[] {
  const { CAPSULE_TEST_BASE: base } = process.env;
  const executable = BINARY || process.execPath;
  if (!base) return [executable];
  const directories = ["lib", "usr/lib"].map((name) => join(base, name, "x86_64-linux-gnu"));
  const loader = join(base, "lib/x86_64-linux-gnu/ld-linux-x86-64.so.2");
  const path = [...(libraryPath ? [libraryPath] : []), ...directories].join(":");
  return [loader, "--library-path", path, executable];
}

/** What every child gets, plus `added`. */
export function environment(added: Record<string, string> = {}): Record<string, string> {
  const { PATH = "/usr/local/bin:/usr/bin:/bin", HOME = "/" } = process.env;
  // What capsule keeps of fixtures is not to be among what it keeps for the user.
  const XDG_CACHE_HOME = join(cacheDirectory(), "kept");
  return { PATH, HOME, LC_ALL: "C.UTF-8", XDG_CACHE_HOME, ...added };
}
