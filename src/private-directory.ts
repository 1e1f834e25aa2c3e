// The directory of one run: mirrors, shims, the program's image and the server's
// socket, as files, since a debugger that reads /proc/self/fd/5 opens its own
// descriptor 5 and hangs. Mode 0700. The program removes it when it exits; what a
// killed one has left behind, the next run removes.

import { existsSync, lstatSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { Libc } from "../lib/loader/libc.ts";
import { writeU64 } from "../lib/memory/layout.ts";
import { bytesAt, cString, viewAt } from "../lib/memory/live.ts";
import type { Address } from "../lib/memory/numbers.ts";

const PREFIX = "capsule-";
/** More files than any run makes: a shim a library, a mirror a member of the shared set and capsule. */
const FILE_LIMIT = 1024;
/** Of a socket's path, in bytes (struct sockaddr_un). */
const SOCKET_PATH_LIMIT = 107;

/** The list of files that native code removes at exit: pointers to C strings, with NULL behind the last. */
export class FileList {
  constructor(
    readonly libc: Libc,
    readonly at: Address,
  ) {}

  static allocate(libc: Libc): FileList {
    const at = libc.allocate(8 * (FILE_LIMIT + 1));
    bytesAt(at, 8 * (FILE_LIMIT + 1)).fill(0);
    return new FileList(libc, at);
  }

  add(path: string): void {
    const list = viewAt(this.at, 8 * FILE_LIMIT);
    for (let at = 0; at < list.byteLength; at += 8) {
      if (list.getBigUint64(at, true) !== 0n) continue;
      const text = cString(path);
      const copy = this.libc.allocate(text.length);
      bytesAt(copy, text.length).set(text);
      writeU64(list, at, copy);
      return;
    }
  }
}

export class PrivateDirectory {
  constructor(
    readonly path: string,
    readonly files: FileList,
  ) {}

  static make(libc: Libc): PrivateDirectory {
    const directory = new PrivateDirectory(mkdtempSync(join(resolve(tmpdir()), PREFIX)), FileList.allocate(libc));
    if (Buffer.byteLength(directory.socket) > SOCKET_PATH_LIMIT) {
      directory.remove();
      throw new Error(`Cannot make a socket in "${tmpdir()}": the path is too long (set TMPDIR to a shorter one)`);
    }
    directory.files.add(directory.socket);
    return directory;
  }

  get socket(): string {
    return join(this.path, "socket");
  }

  /** Writes a file that is removed at exit and returns its path. Throws what writing throws (a full disk). */
  write(name: string, bytes: Uint8Array): string {
    const path = join(this.path, name);
    this.files.add(path);
    // A file of that name may be mapped already, when two threads ask for the same thing: it must stay as it is.
    writeFileSync(`${path}.new`, bytes);
    renameSync(`${path}.new`, path);
    return path;
  }

  /** For a run that ends before its program starts. */
  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** As mkdtemp makes it from PREFIX. */
const NAME = /^capsule-[A-Za-z0-9]{6}$/;

/** A file that every run has, and nobody else. */
export const MARK = "libcapsule-agent.so";

/** Removes the directories of runs that have ended without doing so: those with the mark, to whose socket nobody listens. */
export async function removeStale(directory = tmpdir()): Promise<void> {
  for (const name of readdirSync(directory)) {
    if (!NAME.test(name)) continue;
    const path = join(directory, name);
    const stat = lstatSync(path, { throwIfNoEntry: false });
    if (!stat?.isDirectory() || stat.uid !== process.getuid?.() || Date.now() - stat.mtimeMs < 60_000) continue;
    if (!existsSync(join(path, MARK))) continue;
    if (!(await isAnswered(join(path, "socket")))) rmSync(path, { recursive: true, force: true });
  }
}

async function isAnswered(socket: string): Promise<boolean> {
  try {
    const connection = await Bun.connect({ unix: socket, socket: { data() {} } });
    connection.end();
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === undefined) throw error;
    return false;
  }
}
