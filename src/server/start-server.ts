// Starts the server: this Bun with another script, detached, so that it is no child of a process that it serves.

import { closeSync, openSync } from "node:fs";
import { dirname, join } from "node:path";
import { LinkError } from "../../lib/link-error.ts";
import { u32At, viewAt } from "../../lib/memory/live.ts";
import { add } from "../../lib/memory/numbers.ts";
import { startDetached } from "../../lib/process/detached.ts";
import type { Libc } from "../../lib/process/libc.ts";
import { type System, SystemError } from "../../lib/process/system.ts";
import { Header } from "../agent/protocol.ts";
import { BE_BUN, ENGINE_SETTINGS } from "../diagnostics/engine-settings.ts";
import { FILES } from "../diagnostics/limits.ts";
import type { Trace } from "../diagnostics/trace.ts";
import { CHANNEL_FILE } from "../directories/library-path.ts";
import { serverWords } from "../reexec/own-code.ts";
import { type Command, ownFile } from "../reexec/reexec.ts";
import type { ServingDirectory } from "./serving-directory.ts";

/**
 * The command line of a server, without what it serves: this process's name and options, with another script.
 * `command` are this command's arguments as given. Only the main thread knows: a Worker has another process.argv.
 */
export function serverCommand(command: Command): ServerCommand {
  const [, , ...list] = process.argv;
  const own = command.arguments().map((bytes) => Buffer.from(bytes).toString("latin1"));
  return { path: ownFile(command), arguments: serverWords(own.slice(0, own.length - list.length)) };
}

const RLIMIT_NOFILE = 7;
/** What a server has open, and opens for a while, before it watches another process than the first. */
const LEAST_FILES = 16;

export interface ServerCommand {
  readonly path: string;
  /** One character a byte. */
  readonly arguments: readonly string[];
}

/**
 * Returns the server's PID. It looks at the channel once it has booted, knows `pid`, and ends when that has ended and
 * no other process can ask. `command` is serverCommand's. It keeps standard error if it traces. Its standard output
 * takes events, or else its complaints, for the reader of the program's standard error. Throws SystemError.
 */
export function startServer(
  libc: Libc,
  system: System,
  directory: ServingDirectory,
  command: ServerCommand,
  pid: number,
  { categories, events }: Trace,
): number {
  const files = system.limit(RLIMIT_NOFILE, "hard");
  if (files < LEAST_FILES)
    throw new LinkError(`Cannot start a server: ${FILES.tell(files)}, and it needs ${LEAST_FILES} (${FILES.advice})`);
  const opened: number[] = [];
  const keep = (descriptor: number): number => {
    opened.push(descriptor);
    return descriptor;
  };
  const adopts = system.adoptsOrphans(false);
  try {
    const nothing = keep(openSync("/dev/null", "r+"));
    const lock = lockOf(system, directory, keep);
    const program = openProgram(system, pid);
    if (program === undefined) throw new Error(`Cannot serve process ${pid}: it is gone`);
    keep(program);
    // A thread of an in-process program has other descriptors than the program. Not as the server's standard error:
    // Bun's last words are not for the program's readers.
    const complaints = keep(system.descriptorOf(program, 2) ?? system.duplicate(nothing));
    // It has none of the variables that say where else there may be a place.
    const { BUN_BE_BUN } = process.env;
    const settings = { ...ENGINE_SETTINGS, TMPDIR: dirname(directory.path), ...(BUN_BE_BUN ? BE_BUN : {}) };
    const server = startDetached(libc, {
      path: command.path,
      arguments: [
        ...command.arguments.map((text) => Buffer.from(text, "latin1")),
        ...[directory.path, `${pid}`].map((text) => Buffer.from(text)),
      ],
      environment: Object.entries(settings).map(([name, value]) => Buffer.from(`${name}=${value}`)),
      descriptors: {
        nothing,
        output: events?.descriptor ?? complaints,
        error: categories.length > 0 ? 2 : nothing,
        third: program === 3 ? keep(system.duplicate(program)) : program,
        fourth: lock ?? nothing,
      },
    });
    // A thread that asks from here on must not think that there is no server: this one will answer once it has booted.
    const header = viewAt(directory.channel, Header.size);
    for (const name of ["pid", "tid"] as const) header.setUint32(Header.offsetOf[name], server, true);
    header.setUint32(Header.offsetOf.isLocked, lock === undefined ? 0 : 1, true);
    header.setUint32(Header.offsetOf.isServed, 1, true);
    directory.directory.ownedBy(server);
    return server;
  } finally {
    if (adopts) system.adoptsOrphans(true);
    for (const descriptor of opened) closeSync(descriptor);
  }
}

/**
 * A descriptor greater than 4 that holds the lock of the channel's file. The server has it from its first instruction
 * on, so that clients can see that it is alive before it can hold the mutex. Undefined if that file system has no locks.
 */
function lockOf(system: System, { path }: ServingDirectory, keep: (descriptor: number) => number): number | undefined {
  const channel = keep(openSync(join(path, CHANNEL_FILE), "r+"));
  if (!system.lock(channel)) return undefined;
  // The first may be 4, which dup2(2) would leave to be closed by exec.
  keep(system.duplicate(channel));
  return keep(system.duplicate(channel));
}

/** Throws LinkError if the kernel refuses: a server must see when no process can ask any more. */
function openProgram(system: System, pid: number): number | undefined {
  try {
    return system.openProcess(pid);
  } catch (error) {
    if (!(error instanceof SystemError) || error.code === "EMFILE") throw error;
    throw new LinkError(`Cannot see when a program ends: pidfd_open(2) is refused (${error.code}): ${PIDFD_ADVICE}`, {
      cause: error,
    });
  }
}

/** What helps if pidfd_open(2) is refused. */
export const PIDFD_ADVICE =
  "a filter of system calls forbids it: a newer container engine, or its option --security-opt seccomp=unconfined";

/** Resources of <bits/resource.h>, each with what is surely enough for a server, and ulimit's letter for it. */
const LIMITS = [
  { resource: 2, enough: Number.POSITIVE_INFINITY, letter: "d" }, // RLIMIT_DATA
  { resource: 3, enough: 2 ** 20, letter: "s" }, // RLIMIT_STACK
  { resource: RLIMIT_NOFILE, enough: FILES.least, letter: "n" },
  { resource: 9, enough: Number.POSITIVE_INFINITY, letter: "v" }, // RLIMIT_AS
];

/**
 * If this process's limits may be too low for a server, returns once it has booted. Throws LinkError if it has ended.
 */
export function awaitIfLimited(system: System, { channel }: ServingDirectory, server: number): void {
  const low = LIMITS.filter(({ resource, enough }) => system.limit(resource) < enough);
  if (low.length === 0) return;
  const descriptor = system.openProcess(server);
  try {
    while (u32At(add(channel, Header.offsetOf.alive)) === 0) {
      if (descriptor === undefined || system.readable([descriptor], BOOT_INTERVAL_MS).length > 0)
        throw new LinkError(
          `Cannot start a server: it ended at once, and one of this process's limits may be too low for it (${low.map(({ letter }) => `ulimit -${letter}`).join(", ")})`,
        );
    }
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}

/** In milliseconds. */
const BOOT_INTERVAL_MS = 2;

/** Wakes the server, or has it look once it has booted. */
export function ring(libc: Libc, { channel }: ServingDirectory): void {
  const view = viewAt(channel, Header.size);
  Atomics.add(new Int32Array(view.buffer, view.byteOffset, 1), Header.offsetOf.doorbell / 4, 1);
  libc.futexes.wake(channel);
}
