// Enters a program as the kernel would, giving it the process. A program ends by exit(2), but one without a libc may
// return from its entry: then `ret` pops argc. argc is not a mapped address, so the resulting fault is recognizable:
// the instruction pointer is argc, and the stack pointer is just above it.

import { layout, u64 } from "../memory/layout.ts";
import type { Assembler } from "../x86-64/assembler.ts";
import { eax, ebp, ebx, ecx, edi, edx, esi } from "../x86-64/narrow-registers.ts";
import { type Memory, mem, type Pointer, rip } from "../x86-64/operands.ts";
import { r13, r14, rax, rbx, rcx, rdx, rsi, rsp } from "../x86-64/registers.ts";

/** The code's state, in writable memory. */
export const EntryState = layout("entry state", {
  /** The stack pointer to continue with when the program has returned. */
  stack: u64(),
  argc: u64(),
  /** The stack pointer when the program has returned. */
  above: u64(),
  /** The previous struct kernel_sigaction of SIGSEGV. */
  handler: u64(),
  flags: u64(),
  restorer: u64(),
  mask: u64(),
  /** Not 0 once the finalizers have been called. */
  finalized: u64(),
});

type Field = keyof typeof EntryState.offsetOf;
const at = (state: Pointer, name: Field): Memory => mem(state, EntryState.offsetOf[name]);

/** The registers' offsets in ucontext_t (glibc's and the kernel's are the same on x86-64). */
const [UC_RSP, UC_RIP] = [0xa0, 0xa8];
const SIGSEGV = 11;
const FLAGS = 0x0c00_0004; // SA_ONSTACK, SA_RESTORER, SA_SIGINFO
const MASK_SIZE = 8;

/**
 * `enter program`: jumps to the address in r13, with the stack pointer at a context, rdx = r14, and all other registers
 * 0. When the program returns, execution continues after this code, with rbx = the state and the stack pointer from it.
 * The quad at `entry state` is the state's address.
 */
export function emitEnterProgram(to: Assembler): void {
  to.mov(rip("entry state"), rbx).mov(mem(rsp), rax).mov(rax, at(rbx, "argc"));
  to.lea(mem(rsp, 8), rax).mov(rax, at(rbx, "above"));
  // struct kernel_sigaction, in the otherwise unused red zone
  to.lea(rip("on return"), rax).mov(rax, mem(rsp, -32)).movq(FLAGS, mem(rsp, -24));
  to.lea(rip("signal over"), rax).mov(rax, mem(rsp, -16)).movq(0, mem(rsp, -8));
  to.lea(mem(rsp, -32), rsi).lea(at(rbx, "handler"), rdx);
  setAction(to);
  // The ABI defines only rsp and rdx at a program's entry; rbp is 0 for stack unwinders.
  to.mov(r14, rdx);
  for (const register of [eax, ebx, ecx, ebp, esi, edi]) to.xor(register, register);
  to.jmp(r13);

  to.label("returned").mov(rip("entry state"), rbx).lea(at(rbx, "handler"), rsi).xor(edx, edx);
  setAction(to);
}

function setAction(to: Assembler): void {
  to.systemCall("rt_sigaction", SIGSEGV, rsi, rdx, MASK_SIZE);
}

/** `on return`, the handler: makes the thread continue at `returned`. Any other fault goes to the previous handler. */
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
