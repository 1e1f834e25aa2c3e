// What the kernel has put on a process's stack, for code that runs before libc does:
// it is called by ld.so when it relocates the object that it is in.

import type { Assembler } from "../../../lib/x86-64/assembler.ts";
import { dl, ebp, r15d } from "../../../lib/x86-64/narrow-registers.ts";
import { mem, rip } from "../../../lib/x86-64/operands.ts";
import { r10, r12, r13, r14, r15, rax, rbp, rbx, rcx, rdi, rdx, rsi } from "../../../lib/x86-64/registers.ts";

/** Of the auxiliary vector. */
const [AT_BASE, AT_EXECFN] = [7, 31] as const;

/**
 * `vectors`: leaves in r12 how many arguments there are, in r13 and r14 where those and the environment begin, in r15
 * the path by which the program was started (AT_EXECFN), in r10 where that is said, in rbp where its ld.so is
 * (AT_BASE), 0 for an ld.so that was started by name. The quad at `stack end` is the address of __libc_stack_end.
 *
 * `begins`: has the text at rdi that at rsi in front? The answer is in ZF; then rdi is behind it. Changes rsi and dl,
 * too.
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
  to.label("begins").mov(mem(rsi), dl).test(dl, dl).je("begins done");
  to.cmp(dl, mem(rdi)).jne("begins done");
  to.inc(rdi).inc(rsi).jmp("begins");
  to.label("begins done").ret();
}

/** Of a variable by which a re-exec stub says what the program was started as. */
export const STARTED_AS = "CAPSULE_STARTED_AS=";
/** And argv[0], where the ld.so cannot be told that. */
export const CALLED = "CAPSULE_CALLED=";
