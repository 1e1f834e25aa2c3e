// The program's start, in place of libc's: that has been done, for Bun.

import type { Address } from "../../../lib/memory/numbers.ts";
import type { Assembler } from "../../../lib/x86-64/assembler.ts";
import { Record } from "../record.ts";

/** `start`: stands in for __libc_start_main(main, …). `record` is where the Record is. */
export function emitStart(to: Assembler, record: Address, exit: Address, errnoLocation: Address): void {
  to.label("start")
    .op("push %rdi", 0x57)
    .rip("call *errno(%rip)", "errno location", 0xff, 0x15)
    .op("movl $0x0,(%rax)", 0xc7, 0x00, 0x00, 0x00, 0x00, 0x00)
    .op("pop %rax", 0x58)
    .rip("mov record(%rip),%rcx", "record", 0x48, 0x8b, 0x0d)
    .op("mov (%rcx),%edi", 0x8b, 0x39)
    .op("mov 0x8(%rcx),%rsi", 0x48, 0x8b, 0x71, Record.offsetOf.argv)
    .op("mov 0x10(%rcx),%rdx", 0x48, 0x8b, 0x51, Record.offsetOf.environ)
    .op("mov (%rdx),%rdx", 0x48, 0x8b, 0x12)
    .rip("ldmxcsr floating(%rip)", "floating point", 0x0f, 0xae, 0x15) // JavaScript leaves flags
    .op("xor %ebp,%ebp", 0x31, 0xed) // the outermost frame, for debuggers
    .op("and $0xfffffffffffffff0,%rsp", 0x48, 0x83, 0xe4, 0xf0)
    .op("call *%rax", 0xff, 0xd0)
    .op("mov %eax,%edi", 0x89, 0xc7)
    .rip("call *exit(%rip)", "exit", 0xff, 0x15)
    .op("hlt", 0xf4)
    .align(8)
    .label("record")
    .quad(record)
    .label("exit")
    .quad(exit)
    .label("errno location")
    .quad(errnoLocation)
    .label("floating point")
    .quad(0x1f80); // as a process starts: everything masked, no flag
}
