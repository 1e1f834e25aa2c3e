// Enters a program as the kernel would, with the process its own. A program ends by exit(2), but one
// for which a linker is all that there is may return from its entry: then what `ret` finds
// on the stack is argc. That is no address of anything, so the fault that follows tells:
// the instruction pointer is argc, and the stack pointer just above it.

import { layout, u64 } from "../memory/layout.ts";
import type { Assembler } from "../x86-64/assembler.ts";
import { eax, ebp, ebx, ecx, edi, edx, esi } from "../x86-64/narrow-registers.ts";
import { type Memory, mem, type Pointer, rip } from "../x86-64/operands.ts";
import { r13, r14, rax, rbx, rcx, rdx, rsi, rsp } from "../x86-64/registers.ts";

/** What the code keeps, in writable memory. */
export const EntryState = layout("entry state", {
  /** The stack pointer with which it goes on when the program has returned. */
  stack: u64(),
  argc: u64(),
  /** The stack pointer when the program has returned. */
  above: u64(),
  /** struct kernel_sigaction, of SIGSEGV, from before. */
  handler: u64(),
  flags: u64(),
  restorer: u64(),
  mask: u64(),
  /** Not 0 once the finalizers have been called. */
  finalized: u64(),
});

type Field = keyof typeof EntryState.offsetOf;
const at = (state: Pointer, name: Field): Memory => mem(state, EntryState.offsetOf[name]);

/** Where the registers are in a ucontext_t (glibc's and the kernel's are one on x86-64). */
const [UC_RSP, UC_RIP] = [0xa0, 0xa8];
const SIGSEGV = 11;
const FLAGS = 0x0c00_0004; // SA_ONSTACK, SA_RESTORER, SA_SIGINFO
const MASK_SIZE = 8;

/**
 * `enter program`: jumps to the address in r13, with the stack pointer where a context is, rdx as r14 is, and all else
 * 0. When the program returns it goes on behind, with rbx the state and the stack pointer that is in there. The quad at
 * `entry state` is the state's address.
 */
export function emitEnterProgram(to: Assembler): void {
  to.mov(rip("entry state"), rbx).mov(mem(rsp), rax).mov(rax, at(rbx, "argc"));
  to.lea(mem(rsp, 8), rax).mov(rax, at(rbx, "above"));
  // struct kernel_sigaction, in the red zone that nobody uses here
  to.lea(rip("on return"), rax).mov(rax, mem(rsp, -32)).movq(FLAGS, mem(rsp, -24));
  to.lea(rip("signal over"), rax).mov(rax, mem(rsp, -16)).movq(0, mem(rsp, -8));
  to.lea(mem(rsp, -32), rsi).lea(at(rbx, "handler"), rdx);
  setAction(to);
  // What a program finds is said for rsp and rdx alone; rbp is 0 for who goes through frames.
  to.mov(r14, rdx);
  for (const register of [eax, ebx, ecx, ebp, esi, edi]) to.xor(register, register);
  to.jmp(r13);

  to.label("returned").mov(rip("entry state"), rbx).lea(at(rbx, "handler"), rsi).xor(edx, edx);
  setAction(to);
}

function setAction(to: Assembler): void {
  to.systemCall("rt_sigaction", SIGSEGV, rsi, rdx, MASK_SIZE);
}

/** `on return`, the handler: has the thread go on at `returned`. Any other fault is who had the signal before's. */
export function emitReturnHandler(to: Assembler): void {
  to.label("on return").mov(rip("entry state"), rax);
  to.mov(mem(rdx, UC_RIP), rcx).cmp(at(rax, "argc"), rcx).jne("other fault");
  to.mov(mem(rdx, UC_RSP), rcx).cmp(at(rax, "above"), rcx).jne("other fault");
  to.lea(rip("returned"), rcx).mov(rcx, mem(rdx, UC_RIP));
  to.mov(at(rax, "stack"), rcx).mov(rcx, mem(rdx, UC_RSP)).ret();
  to.label("other fault").lea(at(rax, "handler"), rsi).xor(edx, edx);
  setAction(to);
  to.ret();
  to.label("signal over").systemCall("rt_sigreturn");
}
