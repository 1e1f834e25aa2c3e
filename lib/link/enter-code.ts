// Enters a program as the kernel would, with the process its own. A program ends by exit(2), but one
// for which a linker is all that there is may return from its entry: then what `ret` finds
// on the stack is argc. That is no address of anything, so the fault that follows tells:
// the instruction pointer is argc, and the stack pointer just above it.

import { layout, u64 } from "../memory/layout.ts";
import { type Assembler, immediate } from "../x86-64/assembler.ts";

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

const at = (name: keyof typeof EntryState.offsetOf): number => EntryState.offsetOf[name];
const shown = (name: keyof typeof EntryState.offsetOf): string => `0x${at(name).toString(16)}`;

/** Where the registers are in a ucontext_t (glibc's and the kernel's are one on x86-64). */
const [UC_RSP, UC_RIP] = [0xa0, 0xa8];
const SIGSEGV = 11;
const FLAGS = 0x0c00_0004; // SA_ONSTACK, SA_RESTORER, SA_SIGINFO

/**
 * `enter program`: jumps to the address in r13, with the stack pointer where a context is, rdx as r14 is, and all else
 * 0. When the program returns it goes on behind, with rbx the state and the stack pointer that is in there. The quad at
 * `entry state` is the state's address.
 */
export function emitEnterProgram(to: Assembler): void {
  to.rip("mov state(%rip),%rbx", "entry state", 0x48, 0x8b, 0x1d)
    .op("mov (%rsp),%rax", 0x48, 0x8b, 0x04, 0x24)
    .op(`mov %rax,${shown("argc")}(%rbx)`, 0x48, 0x89, 0x43, at("argc"))
    .op("lea 0x8(%rsp),%rax", 0x48, 0x8d, 0x44, 0x24, 0x08)
    .op(`mov %rax,${shown("above")}(%rbx)`, 0x48, 0x89, 0x43, at("above"));
  // struct kernel_sigaction, in the red zone that nobody uses here
  to.rip("lea return(%rip),%rax", "on return", 0x48, 0x8d, 0x05)
    .op("mov %rax,-0x20(%rsp)", 0x48, 0x89, 0x44, 0x24, 0xe0)
    .op(`movq $0x${FLAGS.toString(16)},-0x18(%rsp)`, 0x48, 0xc7, 0x44, 0x24, 0xe8, ...immediate(FLAGS))
    .rip("lea over(%rip),%rax", "signal over", 0x48, 0x8d, 0x05)
    .op("mov %rax,-0x10(%rsp)", 0x48, 0x89, 0x44, 0x24, 0xf0)
    .op("movq $0x0,-0x8(%rsp)", 0x48, 0xc7, 0x44, 0x24, 0xf8, 0, 0, 0, 0)
    .op("lea -0x20(%rsp),%rsi", 0x48, 0x8d, 0x74, 0x24, 0xe0)
    .op(`lea ${shown("handler")}(%rbx),%rdx`, 0x48, 0x8d, 0x53, at("handler"));
  setAction(to);
  to.op("mov %r14,%rdx", 0x4c, 0x89, 0xf2);
  for (const [name, ...bytes] of CLEARED) to.op(`xor ${name},${name}`, ...bytes);
  to.op("jmp *%r13", 0x41, 0xff, 0xe5);

  to.label("returned");
  to.rip("mov state(%rip),%rbx", "entry state", 0x48, 0x8b, 0x1d)
    .op(`lea ${shown("handler")}(%rbx),%rsi`, 0x48, 0x8d, 0x73, at("handler"))
    .op("xor %edx,%edx", 0x31, 0xd2);
  setAction(to);
}

/** What a program finds is said for rsp and rdx alone; rbp is 0 for who goes through frames. */
const CLEARED: readonly [string, ...number[]][] = [
  ["%eax", 0x31, 0xc0],
  ["%ebx", 0x31, 0xdb],
  ["%ecx", 0x31, 0xc9],
  ["%ebp", 0x31, 0xed],
  ["%esi", 0x31, 0xf6],
  ["%edi", 0x31, 0xff],
];

/** rt_sigaction(SIGSEGV, rsi, rdx, 8) */
function setAction(to: Assembler): void {
  to.op(`mov $0x${SIGSEGV.toString(16)},%edi`, 0xbf, ...immediate(SIGSEGV))
    .op("mov $0x8,%r10d", 0x41, 0xba, ...immediate(8))
    .op("mov $0xd,%eax", 0xb8, ...immediate(13))
    .op("syscall # rt_sigaction", 0x0f, 0x05);
}

/** `on return`, the handler: has the thread go on at `returned`. Any other fault is who had the signal before's. */
export function emitReturnHandler(to: Assembler): void {
  to.label("on return")
    .rip("mov state(%rip),%rax", "entry state", 0x48, 0x8b, 0x05)
    .op(`mov 0x${UC_RIP.toString(16)}(%rdx),%rcx`, 0x48, 0x8b, 0x8a, ...immediate(UC_RIP))
    .op(`cmp ${shown("argc")}(%rax),%rcx`, 0x48, 0x3b, 0x48, at("argc"))
    .to("jne", "other fault")
    .op(`mov 0x${UC_RSP.toString(16)}(%rdx),%rcx`, 0x48, 0x8b, 0x8a, ...immediate(UC_RSP))
    .op(`cmp ${shown("above")}(%rax),%rcx`, 0x48, 0x3b, 0x48, at("above"))
    .to("jne", "other fault")
    .rip("lea returned(%rip),%rcx", "returned", 0x48, 0x8d, 0x0d)
    .op(`mov %rcx,0x${UC_RIP.toString(16)}(%rdx)`, 0x48, 0x89, 0x8a, ...immediate(UC_RIP))
    .op("mov (%rax),%rcx", 0x48, 0x8b, 0x08)
    .op(`mov %rcx,0x${UC_RSP.toString(16)}(%rdx)`, 0x48, 0x89, 0x8a, ...immediate(UC_RSP))
    .op("ret", 0xc3)
    .label("other fault")
    .op(`lea ${shown("handler")}(%rax),%rsi`, 0x48, 0x8d, 0x70, at("handler"))
    .op("xor %edx,%edx", 0x31, 0xd2);
  setAction(to);
  to.op("ret", 0xc3)
    .label("signal over")
    .op("mov $0xf,%eax", 0xb8, ...immediate(15))
    .op("syscall # rt_sigreturn", 0x0f, 0x05);
}
