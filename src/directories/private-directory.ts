// The directory of one run: mirrors, shims and the program's image. They are files, since a debugger that reads
// /proc/self/fd/5 opens its own descriptor 5 and hangs. Mode 0700. The program removes it when it exits; if it was
// killed, the next run does.

import { readdirSync, readlinkSync, rmdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { LinkError } from "../../lib/link-error.ts";
import { writeU64 } from "../../lib/memory/layout.ts";
import { bytesAt, cString, pointerAt, stringAt, viewAt } from "../../lib/memory/live.ts";
import { type Address, add } from "../../lib/memory/numbers.ts";
import { isThere, makeFreshDirectory, writeWhole } from "../../lib/own-files.ts";
import type { Libc } from "../../lib/process/libc.ts";
import type { PutOffSignals } from "../../lib/process/put-off-signals.ts";
import { readStat, unlessGone } from "../../lib/process/stat.ts";
import { makeLinks } from "./library-path.ts";
import { privateParent } from "./temporary-place.ts";

export const PREFIX = "capsule-";
/** More files than any run makes: a shim per library, a mirror per member of the shared set and capsule. */
const FILE_LIMIT = 1024;
/** Identifies the owning process; see ownerOf. */
export const OWNER = "owner";

/**
 * The list of files that native code removes at exit, the last one first, so that a directory comes before what it
 * contains: pointers to C strings, ended by NULL.
 */
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

  /**
   * How long a file may be. A program's thread that exceeds that would be ended by SIGXFSZ, which Bun ignores, but the
   * program need not.
   */
  get sizeLimit(): number {
    const RLIMIT_FSIZE = 1;
    return this.libc.system.limit(RLIMIT_FSIZE);
  }

  add(path: string): void {
    let end = this.at;
    while (pointerAt(end) !== 0) end = add(end, 8);
    if (end - this.at >= 8 * FILE_LIMIT) return;
    const text = cString(path);
    const copy = this.libc.allocate(text.length);
    bytesAt(copy, text.length).set(text);
    writeU64(viewAt(end, 8), 0, copy);
  }

  /** The file stays: another process has it now. */
  forget(path: string): void {
    for (let at = this.at; pointerAt(at) !== 0; at = add(at, 8)) {
      const text = pointerAt(at);
      // Replaced by a path that no file has, as another thread may be walking the list.
      if (stringAt(text) === path) bytesAt(text, 1)[0] = 0;
    }
  }
}

export class PrivateDirectory<Files extends Pick<FileList, "add"> & Partial<FileList> = FileList> {
  constructor(
    /** Another one once nothing can be written to the first. */
    public path: string,
    readonly files: Files,
    /** Put off as long as nothing else removes it. */
    readonly signals?: PutOffSignals,
  ) {}

  /**
   * `signals` are put off until the directory is removed, unless they are ended before. Throws what making it throws,
   * with the directory's name, and LinkError if no library can be loaded from it.
   */
  static make(libc: Libc, signals?: PutOffSignals): PrivateDirectory {
    let directory: PrivateDirectory;
    try {
      directory = new PrivateDirectory(freshDirectory(), FileList.allocate(libc), signals);
    } catch (error) {
      signals?.end();
      throw error;
    }
    const { path } = directory;
    try {
      if (libc.system.isNoexec(path))
        throw new LinkError(
          `Cannot use "${path}": its file system is mounted noexec, so that no library can be loaded from there (TMPDIR says which directory to use)`,
          { object: path },
        );
      directory.ownedBy("self");
      return directory;
    } catch (error) {
      directory.remove();
      throw hint(error, dirname(path));
    }
  }

  /** Writes a file that is removed at exit and returns its path. Throws what writing throws (a full disk). */
  write(name: string, bytes: Uint8Array): string {
    try {
      return this.#put(name, bytes);
    } catch (error) {
      // The program may have dropped its rights, or the directory was deleted.
      if (!["EACCES", "ENOENT", "ENOTDIR", "EROFS"].includes((error as NodeJS.ErrnoException).code ?? "")) throw error;
      this.#replace();
      return this.#put(name, bytes);
    }
  }

  #put(name: string, bytes: Uint8Array): string {
    const path = join(this.path, name);
    this.files.add(path);
    return hinting(this.path, () => {
      const most = this.files.sizeLimit ?? Number.POSITIVE_INFINITY;
      if (bytes.length > most) throw Object.assign(new Error("EFBIG: file too large"), { code: "EFBIG" });
      // If two threads ask for the same thing, a file of that name may already be mapped, and must not change.
      return writeWhole(path, bytes);
    });
  }

  /** Makes a directory of links in it, from names and targets, that is removed at exit. Throws what writing throws. */
  link(name: string, links: ReadonlyMap<string, string>): void {
    const path = join(this.path, name);
    this.files.add(path);
    for (const link of links.keys()) this.files.add(join(path, link));
    hinting(this.path, () => makeLinks(path, links));
  }

  /** Continues in another directory. The first one's files are already mapped. */
  #replace(): void {
    this.path = freshDirectory();
    this.files.add(this.path);
    this.ownedBy("self");
    this.#put(MARK, new Uint8Array(0));
  }

  /**
   * Records the process that it is for: once that has ended, the directory is stale. If it has ended already, the owner
   * stays.
   */
  ownedBy(pid: "self" | number): void {
    const owner = unlessGone(() => ownerOf(pid));
    if (owner !== undefined) this.#put(OWNER, new TextEncoder().encode(owner));
  }

  /** For a run that ends before its program starts. */
  remove(): void {
    removeDirectory(this.path);
    this.signals?.end();
  }
}

/**
 * Removes a private directory, if it is there. Its owner and its mark are the last files in it: if this process is
 * killed meanwhile, the next run goes on. Throws what removing throws.
 */
export function removeDirectory(path: string): void {
  const last = [MARK, OWNER];
  const names = unlessGone(() => readdirSync(path)) ?? [];
  for (const name of names.toSorted((a, b) => last.indexOf(a) - last.indexOf(b)))
    rmSync(join(path, name), { recursive: true, force: true });
  unlessGone(() => rmdirSync(path));
}

/** Makes an empty one. Throws what that throws, as `hint` words it. */
function freshDirectory(): string {
  const above = resolve(tmpdir());
  const parent = hinting(above, () => privateParent(above));
  return hinting(parent, () => makeFreshDirectory(join(parent, PREFIX)));
}

/** An error that says what the user can do about a directory that cannot be written to. */
export function hint(error: unknown, directory: string): Error {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === undefined) return error as Error;
  const fault = (text: string) => Object.assign(new Error(text, { cause: error }), { code });
  if (code === "EFBIG")
    return fault(`Cannot write to "${directory}": a file would be larger than any may be here (ulimit -f)`);
  // A file system of the kernel's own, such as /proc, has only what the kernel makes there.
  const isRefused = (code === "ENOENT" || code === "EPERM") && isThere(directory);
  const reason = isRefused ? "nothing can be made there" : (REASONS[code] ?? message);
  return fault(`Cannot write to "${directory}": ${reason} (TMPDIR says which directory to use)`);
}

const REASONS: Readonly<Record<string, string>> = {
  ENOSPC: "its disk is full",
  EDQUOT: "its owner may not have more on that disk (quota)",
  EROFS: "it is read-only",
  EACCES: "permission denied",
  ENOENT: "it is not there",
};

/** What writing to a directory returns. Its errors are worded by `hint`. */
export function hinting<Result>(directory: string, write: () => Result): Result {
  try {
    return write();
  } catch (error) {
    throw hint(error, directory);
  }
}

/** A file that every run's directory has, and no other. */
export const MARK = "libcapsule-agent.so";

/** Identifies a process: PID namespace, number, and start in clock ticks since boot. Throws if it does not exist. */
export function ownerOf(pid: "self" | number): string {
  const stat = readStat(pid);
  const [PID, STATE, STARTTIME] = [1, 3, 22];
  // A zombie: it has ended, and its parent has not waited for it yet.
  if (stat.field(STATE) === "Z") return "";
  return `${readlinkSync("/proc/self/ns/pid")} ${stat.field(PID)} ${stat.field(STARTTIME)}\n`;
}
