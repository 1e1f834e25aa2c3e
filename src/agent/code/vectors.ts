// What the kernel has put on a process's stack, for code that runs before libc: ld.so calls it when it relocates the
// object that contains it.

import type { Assembler } from "../../../lib/x86-64/assembler.ts";
import { dl, ebp, r15d } from "../../../lib/x86-64/narrow-registers.ts";
import { mem, rip } from "../../../lib/x86-64/operands.ts";
import { r10, r12, r13, r14, r15, rax, rbp, rbx, rcx, rdi, rdx, rsi } from "../../../lib/x86-64/registers.ts";

/** ld.so's own: where the kernel has put the arguments. */
export const STACK_END = "__libc_stack_end";

/** Types of auxiliary vector entries. */
export const [AT_BASE, AT_EXECFN] = [7, 31] as const;

/**
 * `vectors`: leaves in r12 the number of arguments, in r13 and r14 the addresses of the arguments and of the
 * environment, in r15 the path by which the program was started (AT_EXECFN), in r10 the address of that value, in rbp
 * the address of its ld.so (AT_BASE), 0 for an ld.so that was started by name. The quad at `stack end` is the address
 * of __libc_stack_end.
 */
export function emitVectors(to: Assembler): void {
  to.label("vectors").mov(rip("stack end"), rax).mov(mem(rax), rbx).mov(mem(rbx), r12);
  to.lea(mem(rbx, 8), r13).lea(mem(r13, 8, r12, 8), r14);
  to.mov(r14, rax);
  to.label("past environment").add(8, rax).cmpq(0, mem(rax, -8)).jne("past environment");
  to.xor(r15d, r15d).xor(ebp, ebp);
  to.label("next auxiliary").mov(mem(rax), rcx).mov(mem(rax, 8), rdx).lea(mem(rax, 8), rsi);
  to.cmp(AT_EXECFN, rcx).cmove(rdx, r15).cmove(rsi, r10);
  to.cmp(AT_BASE, rcx).cmove(rdx, rbp);
  to.add(16, rax).test(rcx, rcx).jne("next auxiliary").ret();
}

/** `begins`: `je` if the string at rdi begins with the one at rsi; rdi is then after that. Changes rsi and dl, too. */
export function emitBegins(to: Assembler): void {
  to.label("begins").mov(mem(rsi), dl).test(dl, dl).je("begins done");
  to.cmp(dl, mem(rdi)).jne("begins done");
  to.inc(rdi).inc(rsi).jmp("begins");
  to.label("begins done").ret();
}

/** The variable by which a re-exec stub says what the program was started as. */
export const STARTED_AS = "CAPSULE_STARTED_AS=";
/** The variable for argv[0], if the ld.so cannot be told that. */
export const CALLED = "CAPSULE_CALLED=";
