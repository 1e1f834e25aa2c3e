// What a run tells a program that has started it (`--events`): an object of JSON a line,
// by the processes that do the work. Nobody ever waits for its reader.

import { writeSync } from "node:fs";
import type { ErrorData } from "./error-data.ts";
import { UsageError } from "./errors.ts";

/** An isolated library that a process was linked to. */
export interface LinkedLibrary {
  readonly soname: string;
  /** The host's file. */
  readonly path: string;
  /** The host tree's directory. */
  readonly host: string;
}

/** A symbol of an isolated library that an object of the program's side refers to. */
export interface Binding {
  /** The object's file. */
  readonly object: string;
  readonly symbol: string;
  /** Undefined where it asks for none. */
  readonly version?: string | undefined;
  /** The file that answers: of the isolated library, or of a hook. */
  readonly path: string;
  /** It is bound when it is called for the first time. */
  readonly isLazy: boolean;
}

/** A process has been linked to isolated libraries, at its start or by a dlopen. */
export interface LinkedEvent {
  readonly event: "linked";
  readonly pid: number;
  /** Its file. */
  readonly program: string;
  readonly libraries: readonly LinkedLibrary[];
  /** In milliseconds, since it has asked. */
  readonly duration: number;
  /** With `--bindings` alone. */
  readonly bindings?: readonly Binding[];
}

/** What is told. `pid` is the process that it is about, as the server sees it. */
export type CapsuleEvent =
  /** All is prepared, and the process turns into the program. */
  | { readonly event: "start"; readonly pid: number; readonly program: string }
  | LinkedEvent
  /** Host libraries are opened in a process, dependencies among them; in the loader's order. */
  | { readonly event: "opened"; readonly pid: number; readonly host: string; readonly paths: readonly string[] }
  /** A thread has asked where something is, and waits. */
  | {
      readonly event: "request";
      readonly pid: number;
      readonly kind: "dlopen" | "dlmopen" | "file";
      /** The host tree whose library asks; undefined for the program's side. */
      readonly host?: string | undefined;
      /** As it was asked for. */
      readonly name: string;
      /** The path with which the caller goes on; undefined where it has been opened for it, or is left to glibc or the kernel. */
      readonly path?: string | undefined;
    }
  /** A process that had been linked, or the program, has ended. */
  | { readonly event: "ended"; readonly pid: number }
  /** Capsule has failed: before the program has started, or to link a process; `isFatal` where that ends with 125 then. */
  | { readonly event: "failed"; readonly pid: number; readonly isFatal: boolean; readonly error: ErrorData }
  /** So many events could not be written, as nobody has read them. */
  | { readonly event: "lost"; readonly count: number };

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
