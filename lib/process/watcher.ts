// Tells of processes that have ended to a thread that sleeps on a futex. That can wait
// for a word or for descriptors, not for both, so a second thread waits for the
// descriptors: one of glibc's with a few instructions of ours, which knows nothing of
// JavaScript. It rings the same bell as everybody else.

import { CFunction, FFIType } from "bun:ffi";
import { LinkError } from "../link-error.ts";
import { layout, u64 } from "../memory/layout.ts";
import { pointer, viewAt } from "../memory/live.ts";
import { type Address, add, PAGE_SIZE } from "../memory/numbers.ts";
import { Assembler, immediate } from "../x86-64/assembler.ts";
import type { Libc } from "./libc.ts";
import { install } from "./patch.ts";
import type { System } from "./system.ts";

/** What the thread is given, in memory that stays. */
const Watch = layout("watch", {
  epoll: u64(),
  /** A word that counts, and that somebody sleeps on. */
  bell: u64<Address>(),
  /** How many have ended. */
  count: u64(),
  /** struct epoll_event, 12 bytes. */
  event: u64(),
  eventData: u64(),
});

/** Takes a Watch in rdi, and does not return. */
export function emitWatch(to: Assembler): void {
  const { bell, count, event } = Watch.offsetOf;
  const call = (name: string, number: number) =>
    to.op(`mov $0x${number.toString(16)},%eax`, 0xb8, ...immediate(number)).op(`syscall # ${name}`, 0x0f, 0x05);
  to.op("mov %rdi,%rbx", 0x48, 0x89, 0xfb)
    .label("watch")
    .op("mov (%rbx),%edi", 0x8b, 0x3b)
    .op(`lea 0x${event.toString(16)}(%rbx),%rsi`, 0x48, 0x8d, 0x73, event)
    .op("mov $0x1,%edx", 0xba, ...immediate(1))
    .op("mov $0xffffffff,%r10d", 0x41, 0xba, ...immediate(-1));
  call("epoll_wait", 232);
  to.op("test %eax,%eax", 0x85, 0xc0)
    .to("jle", "watch") // interrupted
    .op(`lock incl 0x${count.toString(16)}(%rbx)`, 0xf0, 0xff, 0x43, count)
    .op(`mov 0x${bell.toString(16)}(%rbx),%rdi`, 0x48, 0x8b, 0x7b, bell)
    .op("lock incl (%rdi)", 0xf0, 0xff, 0x07)
    .op("mov $0x1,%esi", 0xbe, ...immediate(1)) // FUTEX_WAKE
    .op("mov $0x1,%edx", 0xba, ...immediate(1));
  call("futex", 202);
  to.to("jmp", "watch");
}

export class Watcher {
  readonly #epoll: number;
  readonly #count: Int32Array;

  /**
   * `bell` is counted up for each descriptor that has become readable, and whoever sleeps on it is woken. Throws
   * LinkError, SystemError.
   */
  constructor(
    libc: Libc,
    readonly system: System,
    bell: Address,
  ) {
    this.#epoll = system.makeEpoll();
    const to = new Assembler();
    emitWatch(to);
    const place = libc.allocatePages(2 * PAGE_SIZE, false);
    libc.run(install(libc, to.assemble().bytes, place));
    const record = add(place, PAGE_SIZE);
    const view = viewAt(record, Watch.size);
    const fields = Watch.at(view);
    fields.epoll = this.#epoll;
    fields.bell = bell;
    this.#count = new Int32Array(view.buffer, Watch.offsetOf.count, 1);
    const { ptr, i32 } = FFIType;
    const create = CFunction({
      ptr: pointer(libc.mustFindSymbol("pthread_create")),
      args: [ptr, ptr, ptr, ptr],
      returns: i32,
    });
    const errno = create(new BigUint64Array(1), null, pointer(place), pointer(record));
    if (errno !== 0) throw new LinkError(`Cannot make a thread: errno ${errno}`);
  }

  /** Rings when the descriptor is readable: once, or each time that something more has come. */
  add(descriptor: number, when: "once" | "each time" = "once"): void {
    this.system.addToEpoll(this.#epoll, descriptor, when);
  }

  /** How often one of them has become readable so far. */
  get count(): number {
    return Atomics.load(this.#count, 0);
  }
}
