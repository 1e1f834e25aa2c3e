// The events that a run writes for the program that started it (`--events`): one JSON object per line, written by the
// processes that do the work. They never wait for the reader.

import { writeSync } from "node:fs";
import type { ErrorData } from "./error-data.ts";
import { UsageError } from "./errors.ts";

/** An isolated library that a process was linked to. */
export interface LinkedLibrary {
  /** The name by which the program needs or opens it. */
  readonly soname: string;
  /** The host's file, without symbolic links. */
  readonly path: string;
  /** The host tree's directory. */
  readonly host: string;
}

/** A symbol of an isolated library that an object of the program's side refers to. */
export interface Binding {
  /** The file of the program, or of the library, that refers to it. */
  readonly object: string;
  /** Its name. */
  readonly symbol: string;
  /** Undefined if the object asks for none. */
  readonly version?: string | undefined;
  /** The file that defines it: the isolated library, or a hook's. */
  readonly path: string;
  /** It is bound when it is first called. */
  readonly isLazy: boolean;
}

/** All is prepared, and the process becomes the program. The first event of a run that does not fail. */
export interface StartEvent {
  readonly event: "start";
  /** The program's process. */
  readonly pid: number;
  /** Its path, as execve(2) gets it. */
  readonly program: string;
}

/** A process has been linked to isolated libraries, at its start or by a dlopen. */
export interface LinkedEvent {
  readonly event: "linked";
  /** The program's process, or one that it has started. */
  readonly pid: number;
  /** The file that the process runs. */
  readonly program: string;
  /** Those that it was not linked to before. */
  readonly libraries: readonly LinkedLibrary[];
  /** How long the process waited, in milliseconds. */
  readonly duration: number;
  /** Only if `bindings` (`--bindings`) asks for them. */
  readonly bindings?: readonly Binding[];
}

/**
 * Host libraries are opened in a process, dependencies among them. If one of them opens more by itself, another event
 * lists these along with those already open.
 */
export interface OpenedEvent {
  readonly event: "opened";
  /** The process that they are opened in. */
  readonly pid: number;
  /** The host tree's directory. */
  readonly host: string;
  /** Their files, in the loader's order. */
  readonly paths: readonly string[];
}

/** A thread has asked where a file is, and waits for the answer. */
export interface RequestEvent {
  readonly event: "request";
  /** Its process. */
  readonly pid: number;
  /** The call; `file` is open(2) and the like, by a host library. */
  readonly kind: "dlopen" | "dlmopen" | "file";
  /** The host tree whose library asks; undefined for the program's side. */
  readonly host?: string | undefined;
  /** As it was asked for: a soname, or a path. */
  readonly name: string;
  /**
   * The path with which the caller continues; undefined if it has been opened for the caller, or is left to glibc or
   * the kernel.
   */
  readonly path?: string | undefined;
}

/** The program, or another linked process, has ended. */
export interface EndedEvent {
  readonly event: "ended";
  /** The process that ended. */
  readonly pid: number;
}

/** Capsule has failed: before the program started, or while linking a process. */
export interface FailedEvent {
  readonly event: "failed";
  /** The process that it concerns. */
  readonly pid: number;
  /** The process ends because of it, with `error.exitCode`; otherwise it continues without the isolated library. */
  readonly isFatal: boolean;
  /** What is at fault. */
  readonly error: ErrorData;
}

/** Events are missing here: nobody has read them, and a megabyte of them was waiting. */
export interface LostEvent {
  readonly event: "lost";
  /** How many. */
  readonly count: number;
}

/**
 * What a run reports while it works: to {@link LaunchOptions.onEvent}, and with `capsule exec --events` as one JSON
 * object per line. `event` is its kind, `pid` the process that it concerns, by the number that the server knows it by.
 * More kinds may be added: ignore those that you do not know.
 *
 * @example
 * ```ts
 * import { exec } from "capsule";
 *
 * await exec("glxgears", [], {
 *   timeout: 5_000,
 *   onEvent(event) {
 *     if (event.event === "linked") for (const { soname, path } of event.libraries) console.error(`${soname}: ${path}`);
 *     if (event.event === "failed") console.error(`process ${event.pid}: ${event.error.message}`);
 *   },
 * });
 * ```
 *
 */
export type CapsuleEvent = StartEvent | LinkedEvent | OpenedEvent | RequestEvent | EndedEvent | FailedEvent | LostEvent;

/** How much is kept for a slow reader, in bytes. */
const LIMIT = 1 << 20;

/** Writes events to a descriptor that does not block. */
export class EventWriter {
  #waiting = new Uint8Array(0);
  #lost = 0;
  #isClosed = false;

  constructor(
    readonly descriptor: number,
    readonly hasBindings: boolean,
  ) {}

  write(event: CapsuleEvent): void {
    if (this.#isClosed) return;
    if (this.#waiting.length > LIMIT) {
      this.#lost++;
      return;
    }
    if (this.#lost > 0) this.#put({ event: "lost", count: this.#lost });
    this.#lost = 0;
    this.#put(event);
    this.flush();
  }

  /** Is there output that the reader had no room for yet? */
  get isWaiting(): boolean {
    return this.#waiting.length > 0;
  }

  /** Writes as much as there is room for. */
  flush(): void {
    try {
      while (this.isWaiting) this.#waiting = this.#waiting.subarray(writeSync(this.descriptor, this.#waiting));
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "EAGAIN") return;
      // The reader is gone.
      if (code !== "EPIPE" && code !== "ECONNRESET") throw error;
      this.#isClosed = true;
      this.#waiting = new Uint8Array(0);
    }
  }

  #put(event: CapsuleEvent): void {
    this.#waiting = Buffer.concat([this.#waiting, Buffer.from(`${JSON.stringify(event)}\n`)]);
  }
}

/** The descriptor that `--events` names. Throws UsageError if it is no number, below 3, or not open. */
export function descriptorOf(text: string, inherited: ReadonlySet<number>): number {
  const descriptor = /^\d+$/.test(text) ? Number(text) : -1;
  if (descriptor < 3)
    throw new UsageError(`Cannot write events to "${text}": the number of a descriptor is needed, 3 or more`);
  if (!inherited.has(descriptor))
    throw new UsageError(`Cannot write events to descriptor ${descriptor}: it is not open`);
  return descriptor;
}
