// The one door through which files of others are opened for reading: libraries, caches and configuration of a tree,
// manifests, settings, scripts. Anything may lie in their place: a FIFO without a writer, a device without an end, a
// sparse file of terabytes. So nothing but a regular file is read, and of that no more than its reader can need.

import { closeSync, constants, fstatSync, openSync, readSync, type Stats } from "node:fs";
import { LinkError } from "./link-error.ts";

/** A kind of file, and the most that one of it needs, in bytes. */
export interface FileKind {
  readonly name: string;
  readonly most: number;
}

/** Something else lies where a file should be. It is a system's error, with a code as open(2) has it for sockets. */
export class NotRegularError extends Error {
  readonly syscall = "open";
  readonly code: "EISDIR" | "ENXIO";
  constructor(
    readonly path: string,
    stat: Stats,
  ) {
    super(`Cannot open "${path}": not a regular file`);
    this.code = stat.isDirectory() ? "EISDIR" : "ENXIO";
  }
}

/** An open file. */
export class RegularFile implements Disposable {
  readonly stat: Stats;
  #descriptor: number;

  /** Throws what open(2) throws (with `code` and `path`), and NotRegularError. */
  constructor(readonly path: string) {
    // A FIFO must not block, nor a terminal become this process's own.
    this.#descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
    this.stat = fstatSync(this.#descriptor);
    if (this.stat.isFile()) return;
    this[Symbol.dispose]();
    throw new NotRegularError(path, this.stat);
  }

  /** For callers that map the file. */
  get descriptor(): number {
    return this.#descriptor;
  }

  [Symbol.dispose](): void {
    if (this.#descriptor < 0) return;
    closeSync(this.#descriptor);
    // The number may belong to another file from now on.
    this.#descriptor = -1;
  }

  /** The bytes at `offset`, fewer at the end of the file. */
  bytes(offset: number, length: number): Buffer<ArrayBuffer> {
    const bytes = Buffer.from(new ArrayBuffer(length));
    let done = 0;
    while (done < length) {
      const count = readSync(this.#descriptor, bytes, done, length - done, offset + done);
      if (count === 0) break;
      done += count;
    }
    return bytes.subarray(0, done);
  }

  /** All of it. Throws LinkError if that is more than a file of this kind needs. */
  whole({ name, most }: FileKind): Buffer<ArrayBuffer> {
    const { size } = this.stat;
    if (size > most)
      throw new LinkError(`Cannot read "${this.path}": it has ${size} bytes, and ${name} needs ${most} at most`, {
        object: this.path,
      });
    return this.bytes(0, size);
  }
}

/** All of a file. Throws as RegularFile and its whole() do. */
export function readWhole(path: string, kind: FileKind): Buffer<ArrayBuffer> {
  using file = new RegularFile(path);
  return file.whole(kind);
}

/** Up to `length` bytes of a file. Throws as RegularFile does. */
export function readBeginning(path: string, length: number): Buffer<ArrayBuffer> {
  using file = new RegularFile(path);
  // Files in /proc report no size.
  return file.bytes(0, Math.min(length, file.stat.size || length));
}
