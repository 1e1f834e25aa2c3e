// Starts the program in place of libc's start code, which has already run, for Bun.

import type { Address } from "../../../lib/memory/numbers.ts";
import type { Assembler } from "../../../lib/x86-64/assembler.ts";
import { eax, ebp, edi } from "../../../lib/x86-64/narrow-registers.ts";
import { mem, rip } from "../../../lib/x86-64/operands.ts";
import { rax, rcx, rdi, rdx, rsi, rsp } from "../../../lib/x86-64/registers.ts";
import { Record } from "../record.ts";

/** `start`: stands in for __libc_start_main(main, …). `record` is the address of the Record. */
export function emitStart(to: Assembler, record: Address, exit: Address, errnoLocation: Address): void {
  const { argc, argv, environ } = Record.offsetOf;
  to.label("start").push(rdi).call(rip("errno location")).movl(0, mem(rax)).pop(rax);
  to.mov(rip("record"), rcx).mov(mem(rcx, argc), edi).mov(mem(rcx, argv), rsi);
  to.mov(mem(rcx, environ), rdx).mov(mem(rdx), rdx);
  to.ldmxcsr(rip("floating point")); // JavaScript leaves flags set
  to.xor(ebp, ebp); // the outermost frame, for debuggers
  to.and(-16, rsp).call(rax).mov(eax, edi).call(rip("exit")).hlt();
  to.align(8).quads({ record, exit, "errno location": errnoLocation });
  to.label("floating point").quad(0x1f80); // as a process starts: everything masked, no flags
}
