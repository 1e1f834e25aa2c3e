// Reports ended processes to a thread that sleeps on a futex. A thread can wait for a word or for descriptors, not for
// both, so a second thread waits for the descriptors: a glibc thread that runs a few instructions of machine code and
// no JavaScript. It rings the same doorbell as all others.

import { FFIType } from "bun:ffi";
import { LinkError } from "../link-error.ts";
import { layout, u64 } from "../memory/layout.ts";
import { addressOf, pointer, viewAt } from "../memory/live.ts";
import type { Address } from "../memory/numbers.ts";
import { Assembler } from "../x86-64/assembler.ts";
import { FUTEX_WAKE } from "../x86-64/linux.ts";
import { eax, edi } from "../x86-64/narrow-registers.ts";
import { address, mem } from "../x86-64/operands.ts";
import { rbx, rdi } from "../x86-64/registers.ts";
import type { Libc } from "./libc.ts";
import type { System } from "./system.ts";

/** The thread's input, in memory that stays. */
const Watch = layout("watch", {
  epoll: u64(),
  /** A counter that a thread sleeps on. */
  doorbell: u64<Address>(),
  /** How many descriptors have become readable. */
  count: u64(),
  /** struct epoll_event, 12 bytes. */
  event: u64(),
  eventData: u64(),
});

/** Takes a Watch in rdi, and does not return. */
export function emitWatch(to: Assembler): void {
  const { epoll, doorbell, count, event } = Watch.offsetOf;
  to.mov(rdi, rbx);
  to.label("watch").mov(mem(rbx, epoll), edi);
  to.systemCall("epoll_wait", edi, address(mem(rbx, event)), 1, -1)
    .test(eax, eax)
    .jle("watch"); // interrupted
  to.lock().incl(mem(rbx, count)).mov(mem(rbx, doorbell), rdi).lock().incl(mem(rdi));
  to.systemCall("futex", rdi, FUTEX_WAKE, 1).jmp("watch");
}

export class Watcher {
  readonly #epoll: number;
  readonly #count: Int32Array;

  /**
   * For each descriptor that becomes readable, `doorbell` is incremented and a thread that sleeps on it is woken.
   * Throws LinkError, SystemError.
   */
  constructor(
    libc: Libc,
    readonly system: System,
    doorbell: Address,
  ) {
    const EPOLL_CLOEXEC = 0x80000;
    this.#epoll = system.mustCall("epoll_create1", EPOLL_CLOEXEC);
    const to = new Assembler();
    emitWatch(to);
    const code = libc.placeCode(to.assemble().bytes);
    const record = libc.pages.allocate(Watch.size);
    const view = viewAt(record, Watch.size);
    Object.assign(Watch.at(view), { epoll: this.#epoll, doorbell });
    this.#count = new Int32Array(view.buffer, Watch.offsetOf.count, 1);
    const { ptr } = FFIType;
    const thread = new BigUint64Array(1);
    const errno = libc.callByName("pthread_create", [ptr, ptr, ptr, ptr], thread, null, pointer(code), pointer(record));
    if (errno !== 0) throw new LinkError(`Cannot make a thread: errno ${errno}`);
  }

  /** Rings when the descriptor is readable: once, or each time more data arrives. Throws SystemError. */
  add(descriptor: number, when: "once" | "each time" = "once"): void {
    const [EPOLL_CTL_ADD, EPOLLIN, EPOLLONESHOT, EPOLLET] = [1, 1, 2 ** 30, 2 ** 31];
    // struct epoll_event, packed: events, data
    const event = Uint32Array.of(EPOLLIN + (when === "once" ? EPOLLONESHOT : EPOLLET), descriptor, 0);
    this.system.mustCall("epoll_ctl", this.#epoll, EPOLL_CTL_ADD, descriptor, addressOf(event));
  }

  /** How often a descriptor has become readable so far. */
  get count(): number {
    return Atomics.load(this.#count, 0);
  }
}
