// A connection to a Unix socket on this machine that never blocks longer than the caller allows: to ask whether
// something answers there.

import { dlopen, FFIType } from "bun:ffi";
import { addressOf, u32At } from "../memory/live.ts";
import { toAddress } from "../memory/numbers.ts";
import { ERRNO } from "../x86-64/linux.ts";
import { type System, SystemError } from "./system.ts";

const { i32, u64, ptr, i64 } = FFIType;

const AF_UNIX = 1;
/** SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC */
const STREAM = 0x80801;
const MSG_NOSIGNAL = 0x4000;
/** The size of sun_path, in bytes, with its NUL. */
const LONGEST = 108;

export class LocalSocket implements Disposable {
  readonly #libc = dlopen("libc.so.6", {
    socket: { args: [i32, i32, i32], returns: i32 },
    connect: { args: [i32, ptr, i32], returns: i32 },
    send: { args: [i32, ptr, u64, i32], returns: i64 },
    recv: { args: [i32, ptr, u64, i32], returns: i64 },
    close: { args: [i32], returns: i32 },
    __errno_location: { args: [], returns: ptr },
  }).symbols;
  readonly #descriptor: number;

  /** A path, or "\0" and an abstract name. Throws SystemError: EAGAIN if the socket's queue is full. */
  constructor(
    name: string,
    readonly system: System,
  ) {
    const path = Buffer.from(name);
    if (path.length >= LONGEST) throw new SystemError("connect", ERRNO.ENAMETOOLONG);
    this.#descriptor = this.#libc.socket(AF_UNIX, STREAM, 0);
    if (this.#descriptor < 0) throw this.#error("socket");
    const address = Buffer.alloc(2 + LONGEST); // struct sockaddr_un
    address.writeUInt16LE(AF_UNIX);
    path.copy(address, 2);
    // An abstract name has no NUL at its end; the length delimits it.
    const length = 2 + path.length + (name.startsWith("\0") ? 0 : 1);
    if (this.#libc.connect(this.#descriptor, addressOf(address), length) === 0) return;
    const error = this.#error("connect");
    this.#libc.close(this.#descriptor);
    throw error;
  }

  /** Bytes that do not fit the socket's buffer are lost. Throws SystemError. */
  send(bytes: Uint8Array): void {
    if (Number(this.#libc.send(this.#descriptor, addressOf(bytes), bytes.length, MSG_NOSIGNAL)) < 0)
      throw this.#error("send");
  }

  /**
   * The next bytes, at most `size`; empty if the other side has closed, undefined if nothing arrives within
   * `milliseconds`. Throws SystemError.
   */
  receive(size: number, milliseconds: number): Uint8Array | undefined {
    if (this.system.readable([this.#descriptor], milliseconds).length === 0) return undefined;
    const bytes = new Uint8Array(size);
    const count = Number(this.#libc.recv(this.#descriptor, addressOf(bytes), size, 0));
    if (count < 0) throw this.#error("recv");
    return bytes.subarray(0, count);
  }

  [Symbol.dispose](): void {
    this.#libc.close(this.#descriptor);
  }

  #error(call: string): SystemError {
    return new SystemError(call, u32At(toAddress(Number(this.#libc.__errno_location()))));
  }
}
