// What a run tells a program that has started it (`--events`): an object of JSON a line,
// by the processes that do the work. Nobody ever waits for its reader.

import { writeSync } from "node:fs";
import type { ErrorData } from "./error-data.ts";
import { UsageError } from "./errors.ts";

/** An isolated library that a process was linked to. */
export interface LinkedLibrary {
  /** By which the program needs or opens it. */
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
  /** Undefined where the object asks for none. */
  readonly version?: string | undefined;
  /** The file that answers: of the isolated library, or of a hook. */
  readonly path: string;
  /** It is bound when it is called for the first time. */
  readonly isLazy: boolean;
}

/** All is prepared, and the process turns into the program. The first event of a run that does not fail. */
export interface StartEvent {
  readonly event: "start";
  /** The program's process. */
  readonly pid: number;
  /** Its path, as execve(2) is given it. */
  readonly program: string;
}

/** A process has been linked to isolated libraries, at its start or by a dlopen. */
export interface LinkedEvent {
  readonly event: "linked";
  /** The program's process, or one that it has started. */
  readonly pid: number;
  /** The file that the process runs. */
  readonly program: string;
  /** Those that it is linked to now and was not before. */
  readonly libraries: readonly LinkedLibrary[];
  /** How long it has waited, in milliseconds. */
  readonly duration: number;
  /** Only where `bindings` (`--bindings`) asks for them. */
  readonly bindings?: readonly Binding[];
}

/**
 * Host libraries are opened in a process, dependencies among them. What one of them opens by itself is told each time,
 * with what was there before.
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

/** A thread has asked where something is, and waits for the answer. */
export interface RequestEvent {
  readonly event: "request";
  /** Its process. */
  readonly pid: number;
  /** What it has called; `file`: open(2) and its like, by a host library. */
  readonly kind: "dlopen" | "dlmopen" | "file";
  /** The host tree whose library asks; undefined for the program's side. */
  readonly host?: string | undefined;
  /** As it was asked for: a soname, or a path. */
  readonly name: string;
  /**
   * The path with which the caller goes on; undefined where it has been opened for it, or is left to glibc or the
   * kernel.
   */
  readonly path?: string | undefined;
}

/** A process that had been linked, or the program, has ended. */
export interface EndedEvent {
  readonly event: "ended";
  /** The process that there was. */
  readonly pid: number;
}

/** Capsule has failed: before the program has started, or to link a process. */
export interface FailedEvent {
  readonly event: "failed";
  /** The process that it concerns. */
  readonly pid: number;
  /** Whether that process ends by it, with `error.exitCode`; else it goes on, without the isolated library. */
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
 * What a run tells while it goes on: to {@link LaunchOptions.onEvent}, and by `capsule exec --events` as an object of
 * JSON a line. `event` says which it is, `pid` which process it is about, by the number that the server knows it by.
 * There may be more of them one day: pass over those that you do not know.
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

/** How much is kept for a reader that is slow, in bytes. */
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

  /** Is there something that the reader had no room for? */
  get isWaiting(): boolean {
    return this.#waiting.length > 0;
  }

  /** Writes what there is room for. */
  flush(): void {
    try {
      while (this.isWaiting) this.#waiting = this.#waiting.subarray(writeSync(this.descriptor, this.#waiting));
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "EAGAIN") return;
      // Whoever has read is gone, and nobody else wants to know.
      if (code !== "EPIPE" && code !== "ECONNRESET") throw error;
      this.#isClosed = true;
      this.#waiting = new Uint8Array(0);
    }
  }

  #put(event: CapsuleEvent): void {
    this.#waiting = Buffer.concat([this.#waiting, Buffer.from(`${JSON.stringify(event)}\n`)]);
  }
}

/** What `--events` says. Throws UsageError for what is no number, or one that the program needs itself. */
export function descriptorOf(text: string, inherited: ReadonlySet<number>): number {
  const descriptor = /^\d+$/.test(text) ? Number(text) : -1;
  if (descriptor < 3)
    throw new UsageError(`Cannot write events to "${text}": the number of a descriptor is needed, 3 or more`);
  if (!inherited.has(descriptor))
    throw new UsageError(`Cannot write events to descriptor ${descriptor}: it is not open`);
  return descriptor;
}
