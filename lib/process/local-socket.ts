// A connection to a Unix socket on this machine that never blocks longer than the caller allows: to ask whether
// something answers there.

import { addressOf } from "../memory/live.ts";
import { ERRNO } from "../x86-64/linux.ts";
import { type System, SystemError } from "./system.ts";

const AF_UNIX = 1;
/** SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC */
const STREAM = 0x80801;
const MSG_NOSIGNAL = 0x4000;
/** The size of sun_path, in bytes, with its NUL. */
const LONGEST = 108;

export class LocalSocket implements Disposable {
  readonly #descriptor: number;

  /** A path, or "\0" and an abstract name. Throws SystemError: EAGAIN if the socket's queue is full. */
  constructor(
    name: string,
    readonly system: System,
  ) {
    const path = Buffer.from(name);
    if (path.length >= LONGEST) throw new SystemError("connect", ERRNO.ENAMETOOLONG);
    const address = Buffer.alloc(2 + LONGEST); // struct sockaddr_un
    address.writeUInt16LE(AF_UNIX);
    path.copy(address, 2);
    // An abstract name has no NUL at its end; the length delimits it.
    const length = 2 + path.length + (name.startsWith("\0") ? 0 : 1);
    this.#descriptor = system.mustCall("socket", AF_UNIX, STREAM, 0);
    try {
      system.mustCall("connect", this.#descriptor, addressOf(address), length);
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /** Bytes that do not fit the socket's buffer are lost. Throws SystemError. */
  send(bytes: Uint8Array): void {
    this.system.mustCall("sendto", this.#descriptor, addressOf(bytes), bytes.length, MSG_NOSIGNAL);
  }

  /**
   * The next bytes, at most `size`; empty if the other side has closed, undefined if nothing arrives within
   * `milliseconds`. Throws SystemError.
   */
  receive(size: number, milliseconds: number): Uint8Array | undefined {
    if (this.system.readable([this.#descriptor], milliseconds).length === 0) return undefined;
    const bytes = new Uint8Array(size);
    return bytes.subarray(0, this.system.mustCall("recvfrom", this.#descriptor, addressOf(bytes), size));
  }

  [Symbol.dispose](): void {
    this.system.call("close", this.#descriptor);
  }
}
