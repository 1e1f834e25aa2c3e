// System calls that Bun does not have. None needs an event loop, and each blocks only the calling thread.

import { dlopen, FFIType } from "bun:ffi";
import { addressOf, cString, u32At, viewAt } from "../memory/live.ts";
import { type Address, toAddress } from "../memory/numbers.ts";
import { ERRNO, SYS, type SystemCall } from "../x86-64/linux.ts";

const { i64, i64_fast, i32, ptr } = FFIType;

const nameOf = (errno: number): string =>
  Object.entries(ERRNO).find(([, number]) => number === errno)?.[0] ?? `errno ${errno}`;

/** A system call that the kernel refused, in the style of Node's errors. */
export class SystemError extends Error {
  override readonly name = "SystemError";
  readonly code: string;
  constructor(
    readonly call: string,
    readonly errno: number,
  ) {
    super(`${nameOf(errno)}, ${call}`);
    this.code = nameOf(errno);
  }
}

export class System {
  readonly #libc = dlopen("libc.so.6", {
    syscall: { args: [i64, i64, i64, i64, i64, i64, i64], returns: i64_fast },
    posix_fallocate: { args: [i32, i64, i64], returns: i32 },
    __errno_location: { args: [], returns: ptr },
  }).symbols;

  /** Returns the negative errno if the kernel refuses. The caller keeps buffers alive whose addresses it passes. */
  call(name: SystemCall, a = 0, b = 0, c = 0, d = 0, e = 0, f = 0): number {
    const result = Number(this.#libc.syscall(SYS[name], a, b, c, d, e, f));
    return result === -1 ? -u32At(this.#errno) : result;
  }

  /** Like call, but throws SystemError. */
  mustCall(name: SystemCall, ...list: readonly number[]): number {
    const result = this.call(name, ...list);
    if (result < 0) throw new SystemError(name, -result);
    return result;
  }

  /** Like call, but returns undefined if the kernel refuses. */
  #tryCall(name: SystemCall, ...list: readonly number[]): number | undefined {
    const result = this.call(name, ...list);
    return result < 0 ? undefined : result;
  }

  get #errno(): Address {
    return toAddress(Number(this.#libc.__errno_location()));
  }

  /** Sets errno to 0, as when a thread starts. */
  clearErrno(): void {
    viewAt(this.#errno, 4).setInt32(0, 0, true);
  }

  get threadId(): number {
    return this.call("gettid");
  }

  /** Names the calling thread (15 bytes count). */
  nameThread(name: string): void {
    const PR_SET_NAME = 15;
    const text = cString(name);
    this.call("prctl", PR_SET_NAME, addressOf(text));
  }

  /** Ends the process without running any handlers. */
  exit(code: number): never {
    this.call("exit_group", code);
    throw new Error("exit_group returned");
  }

  /** Extends an open file to `size` bytes and reserves the disk space. Throws SystemError. */
  allocateFile(descriptor: number, size: number): void {
    const errno = this.#libc.posix_fallocate(descriptor, 0, size);
    if (errno !== 0) throw new SystemError("posix_fallocate", errno);
  }

  /**
   * Locks an open file for as long as any process has this descriptor, or a duplicate. Returns false if somebody else
   * has locked it, or if its file system has no locks.
   */
  lock(descriptor: number): boolean {
    const LOCK_EX_NB = 6;
    return this.call("flock", descriptor, LOCK_EX_NB) === 0;
  }

  /** Maps an open file readable, writable and shared. Throws SystemError. */
  mapShared(descriptor: number, size: number): Address {
    const [PROT_READ_WRITE, MAP_SHARED] = [3, 1];
    return toAddress(this.mustCall("mmap", 0, size, PROT_READ_WRITE, MAP_SHARED, descriptor, 0));
  }

  /** A duplicate descriptor greater than 3, closed on exec. Throws SystemError. */
  duplicate(descriptor: number): number {
    const [F_DUPFD_CLOEXEC, FIRST] = [1030, 4];
    return this.mustCall("fcntl", descriptor, F_DUPFD_CLOEXEC, FIRST);
  }

  /**
   * An anonymous file that can be executed and is gone when its last descriptor is. 249 bytes of its name count. Throws
   * SystemError: EACCES if the kernel forbids executing such files (the sysctl vm.memfd_noexec is 2).
   */
  memoryFile(name: string): number {
    const [MFD_CLOEXEC, MFD_EXEC, LONGEST] = [1, 0x10, 249];
    const text = Buffer.concat([Buffer.from(name).subarray(0, LONGEST), Uint8Array.of(0)]);
    try {
      return this.mustCall("memfd_create", addressOf(text), MFD_CLOEXEC | MFD_EXEC);
    } catch (error) {
      // Before Linux 6.3, all are executable.
      if (!(error instanceof SystemError) || error.errno !== ERRNO.EINVAL) throw error;
      return this.mustCall("memfd_create", addressOf(text), MFD_CLOEXEC);
    }
  }

  /** Makes reads and writes of an open file non-blocking. Throws SystemError. */
  unblock(descriptor: number): void {
    const [F_GETFL, F_SETFL, O_NONBLOCK] = [3, 4, 0x800];
    this.mustCall("fcntl", descriptor, F_SETFL, this.mustCall("fcntl", descriptor, F_GETFL) | O_NONBLOCK);
  }

  /** Makes a descriptor close on exec. Throws SystemError. */
  closeAtExec(descriptor: number): void {
    const [F_SETFD, FD_CLOEXEC] = [2, 1];
    this.mustCall("fcntl", descriptor, F_SETFD, FD_CLOEXEC);
  }

  /**
   * A copy of another process's descriptor; `process` is a pidfd. Undefined if that number is not open, or if the
   * kernel refuses (before Linux 5.6, or by a system call filter).
   */
  descriptorOf(process: number, number: number): number | undefined {
    return this.#tryCall("pidfd_getfd", process, number, 0);
  }

  /**
   * A descriptor that becomes readable when the process has ended. Undefined if there is no such process. Throws
   * SystemError.
   */
  openProcess(pid: number): number | undefined {
    const result = this.call("pidfd_open", pid, 0);
    if (result === -ERRNO.ESRCH) return undefined;
    if (result < 0) throw new SystemError("pidfd_open", -result);
    return result;
  }

  /** This process's limit of a resource (RLIMIT_…): Infinity if unlimited. Throws SystemError. */
  limit(resource: number, which: "soft" | "hard" = "soft"): number {
    const NONE = 2n ** 64n - 1n;
    const limits = new BigUint64Array(2); // struct rlimit: soft, hard
    this.mustCall("prlimit64", 0, resource, 0, addressOf(limits));
    const limit = limits[which === "soft" ? 0 : 1] ?? NONE;
    return limit === NONE ? Number.POSITIVE_INFINITY : Number(limit);
  }

  /** The descriptors that are readable now, or within `milliseconds`. Throws SystemError. */
  readable(descriptors: readonly number[], milliseconds = 0): number[] {
    const [POLLIN, SIZE, REVENTS] = [1, 8, 6];
    // struct pollfd: fd, events, revents
    const list = new DataView(new ArrayBuffer(SIZE * descriptors.length));
    descriptors.forEach((descriptor, i) => {
      list.setInt32(SIZE * i, descriptor, true);
      list.setInt16(SIZE * i + 4, POLLIN, true);
    });
    if (descriptors.length > 0) this.mustCall("poll", addressOf(list), descriptors.length, milliseconds);
    return descriptors.filter((_, i) => list.getInt16(SIZE * i + REVENTS, true) !== 0);
  }

  /**
   * A non-blocking socket that listens at a path. Throws SystemError; paths of more than 107 bytes do not fit an
   * address.
   */
  listenAt(path: string): number {
    const [AF_UNIX, STREAM, BACKLOG] = [1, 1 | 0x80000 | 0x800, 64]; // SOCK_CLOEXEC, SOCK_NONBLOCK
    const address = Buffer.alloc(110); // struct sockaddr_un
    address.writeUInt16LE(AF_UNIX);
    address.write(path, 2, 107);
    const socket = this.mustCall("socket", AF_UNIX, STREAM, 0);
    this.mustCall("bind", socket, addressOf(address), address.length);
    this.mustCall("listen", socket, BACKLOG);
    return socket;
  }

  /** The next connection; undefined if none is waiting. */
  accept(socket: number): number | undefined {
    const SOCK_CLOEXEC = 0x80000;
    return this.#tryCall("accept4", socket, 0, 0, SOCK_CLOEXEC);
  }

  /** Passes an open file to the other end of a connection, with one byte. Returns false if nobody is there. */
  passDescriptor(connection: number, descriptor: number): boolean {
    const [SOL_SOCKET, SCM_RIGHTS, MSG_NOSIGNAL] = [1, 1, 0x4000];
    // struct msghdr, struct iovec, the byte, and struct cmsghdr with the descriptor
    const [VECTOR, BYTE, CONTROL, SIZE] = [56, 72, 80, 104];
    const view = new DataView(new ArrayBuffer(SIZE));
    const at = addressOf(view);
    const words = new Map([
      [16, at + VECTOR],
      [24, 1], // vectors
      [32, at + CONTROL],
      [40, SIZE - CONTROL],
      [VECTOR, at + BYTE],
      [VECTOR + 8, 1], // bytes
      [CONTROL, 20],
    ]);
    for (const [offset, word] of words) view.setBigUint64(offset, BigInt(word), true);
    [SOL_SOCKET, SCM_RIGHTS, descriptor].forEach((word, i) => {
      view.setInt32(CONTROL + 8 + 4 * i, word, true);
    });
    return this.call("sendmsg", connection, at, MSG_NOSIGNAL) > 0;
  }

  /** For watchOpening. Throws SystemError. */
  makeInotify(): number {
    const [IN_CLOEXEC, IN_NONBLOCK] = [0x80000, 0x800];
    return this.mustCall("inotify_init1", IN_CLOEXEC | IN_NONBLOCK);
  }

  /**
   * Watches for the opening of a file, or of files in a directory. Returns a watch number; undefined if the kernel
   * refuses.
   */
  watchOpening(inotify: number, path: string): number | undefined {
    const IN_OPEN = 0x20;
    const file = cString(path);
    return this.#tryCall("inotify_add_watch", inotify, addressOf(file), IN_OPEN);
  }

  /** The openings since the last call: the watch number and, for a directory, the file's name. */
  *openedIn(inotify: number): Generator<{ readonly number: number; readonly name: string }> {
    // struct inotify_event: wd, mask, cookie, len, name
    const [SIZE, LENGTH, NAME] = [1 << 16, 12, 16];
    const events = Buffer.alloc(SIZE);
    for (;;) {
      const count = this.call("read", inotify, addressOf(events), SIZE);
      if (count <= 0) return;
      for (let at = 0; at < count; ) {
        const length = events.readUInt32LE(at + LENGTH);
        const [name = ""] = events.toString("utf8", at + NAME, at + NAME + length).split("\0", 1);
        yield { number: events.readInt32LE(at), name };
        at += NAME + length;
      }
    }
  }

  /** The terminal's width in characters, 80 if it does not know; undefined if it is not a terminal. */
  terminalWidth(descriptor: number): number | undefined {
    const [TIOCGWINSZ, USUAL] = [0x5413, 80];
    const size = new Uint16Array(4); // struct winsize: rows, columns, and both in pixels
    const result = this.call("ioctl", descriptor, TIOCGWINSZ, addressOf(size));
    return result < 0 ? undefined : size[1] || USUAL;
  }

  /** Does the process exist, whatever its user? */
  isAlive(pid: number): boolean {
    return this.call("kill", pid, 0) !== -ERRNO.ESRCH;
  }

  /** Sends SIGKILL; the process may have ended already. */
  kill(pid: number): void {
    const SIGKILL = 9;
    this.call("kill", pid, SIGKILL);
  }

  /** Does a file have an extended attribute of that name? */
  hasAttribute(path: string, name: string): boolean {
    const [file, attribute] = [cString(path), cString(name)];
    return this.call("getxattr", addressOf(file), addressOf(attribute), 0, 0) > 0;
  }

  /** Does the path's file system forbid executable mappings? Throws SystemError. */
  isNoexec(path: string): boolean {
    const [F_FLAGS, SIZE, ST_NOEXEC] = [80, 120, 8]; // of struct statfs, in bytes
    const [file, statfs] = [cString(path), new DataView(new ArrayBuffer(SIZE))];
    this.mustCall("statfs", addressOf(file), addressOf(statfs));
    return (statfs.getUint32(F_FLAGS, true) & ST_NOEXEC) !== 0;
  }

  /** Sets whether orphaned descendants of this process become its children. Returns the previous setting. */
  adoptsOrphans(value: boolean): boolean {
    const [PR_SET_CHILD_SUBREAPER, PR_GET_CHILD_SUBREAPER] = [36, 37];
    const before = new Int32Array(1);
    this.mustCall("prctl", PR_GET_CHILD_SUBREAPER, addressOf(before));
    const had = before[0] !== 0;
    if (had !== value) this.mustCall("prctl", PR_SET_CHILD_SUBREAPER, value ? 1 : 0);
    return had;
  }
}
