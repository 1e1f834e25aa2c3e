// A thread that sleeps until a descriptor becomes readable, and then rings a bell: for
// a thread that sleeps on a futex, which cannot wait for both. It is of machine code,
// and so small that it has no memory of its own but its stack.

import { CFunction, FFIType } from "bun:ffi";
import type { Libc } from "../loader/libc.ts";
import { addressOf, bytesAt, pointer } from "../memory/live.ts";
import { type Address, add, alignUp, PAGE_SIZE } from "../memory/numbers.ts";
import { Assembler } from "../x86-64/assembler.ts";
import { PROT_EXEC, PROT_READ, protect } from "./patch.ts";
import type { System } from "./system.ts";

/** `watch` ({ epoll descriptor, bell }), which never returns. */
export function emitWatch(to: Assembler): void {
  to.label("watch")
    .op("push %rbx", 0x53)
    .op("push %rbp", 0x55)
    .op("sub $0x18,%rsp", 0x48, 0x83, 0xec, 0x18)
    .op("mov (%rdi),%rbx", 0x48, 0x8b, 0x1f)
    .op("mov 0x8(%rdi),%rbp", 0x48, 0x8b, 0x6f, 0x08)
    .label("watch again")
    .op("mov %ebx,%edi", 0x89, 0xdf)
    .op("mov %rsp,%rsi", 0x48, 0x89, 0xe6)
    .op("mov $0x1,%edx", 0xba, 0x01, 0x00, 0x00, 0x00)
    .op("mov $0xffffffff,%r10d", 0x41, 0xba, 0xff, 0xff, 0xff, 0xff)
    .op("mov $0xe8,%eax", 0xb8, 0xe8, 0x00, 0x00, 0x00)
    .op("syscall # epoll_wait", 0x0f, 0x05)
    .op("mov %rbp,%rdi", 0x48, 0x89, 0xef)
    .op("lock incl (%rdi)", 0xf0, 0xff, 0x07)
    .op("mov $0x1,%esi", 0xbe, 0x01, 0x00, 0x00, 0x00) // FUTEX_WAKE
    .op("mov $0x1,%edx", 0xba, 0x01, 0x00, 0x00, 0x00)
    .op("mov $0xca,%eax", 0xb8, 0xca, 0x00, 0x00, 0x00)
    .op("syscall # futex", 0x0f, 0x05)
    .to("jmp", "watch again");
}

export class Watcher {
  readonly #system: System;
  readonly #epoll: number;

  /** Rings `bell`, a futex that counts. Throws SystemError, and LinkError where there can be no thread. */
  constructor(libc: Libc, system: System, bell: Address) {
    this.#system = system;
    this.#epoll = system.makeEpoll();
    const to = new Assembler();
    emitWatch(to);
    const { bytes } = to.assemble();
    const size = alignUp(bytes.length, PAGE_SIZE);
    const code = libc.allocatePages(size + PAGE_SIZE, false);
    const record = add(code, size);
    bytesAt(code, bytes.length).set(bytes);
    libc.run(protect([{ start: code, length: size, protection: PROT_READ | PROT_EXEC }]));
    bytesAt(record, 16).set(new Uint8Array(BigUint64Array.of(BigInt(this.#epoll), BigInt(bell)).buffer));
    const create = CFunction({
      ptr: pointer(libc.mustFindSymbol("pthread_create")),
      args: [FFIType.ptr, FFIType.ptr, FFIType.ptr, FFIType.ptr],
      returns: FFIType.i32,
    });
    const thread = new BigUint64Array(1);
    const errno = create(addressOf(thread), null, pointer(code), pointer(record));
    if (errno !== 0) throw new Error(`Cannot make a thread: errno ${errno}`);
  }

  /** Rings once for a descriptor that is readable, and once more when it has been watched anew. */
  watch(descriptor: number): void {
    this.#system.watchOnce(this.#epoll, descriptor);
  }
}
