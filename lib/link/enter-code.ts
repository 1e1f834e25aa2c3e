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

/**
 * SIGSETXID, by which glibc has all threads change their user (2.31-2.41): no thread of a process of glibc's blocks it.
 */
export const CARRIER = 33;

/** By which JavaScriptCore stops its threads. */
export const SIGPWR = 30;

/** How often it is looked whether all threads have ended, half a millisecond apart. */
const PATIENCE = 4000;
const BUFFER = 4096;
const SYS = {
  ...{ write: 1, close: 3, lseek: 8, rt_sigaction: 13, nanosleep: 35, getpid: 39, exit: 60 },
  ...{ sigaltstack: 131, getdents64: 217, exit_group: 231, tgkill: 234 },
} as const;

/** Of linux_dirent64. */
const [D_RECLEN, D_NAME] = [16, 19];

/**
 * `take over` (context, its length in words, tasks, start): a C function of the first thread's that does not return. It
 * ends all other threads, puts the context on its stack, and goes on at `start`. `tasks` is an open /proc/self/task.
 * `end thread` is what the handler of CARRIER has to be, and SIGPWR has to be ignored: a thread that is stopped by
 * another one, which has ended since, would wait for ever. Where threads do not end, the process does, with exit code
 * `failure`, and `complaint` is written to standard error.
 */
export function emitTakeOver(to: Assembler, failure: number, complaint: Uint8Array): void {
  const call = (name: keyof typeof SYS) =>
    to.op(`mov $0x${SYS[name].toString(16)},%eax`, 0xb8, ...immediate(SYS[name])).op(`syscall # ${name}`, 0x0f, 0x05);
  // r12: tasks, r13: start, r14: the process; r15: how often; ebp: how many others; rbx, r8: an entry, and the end
  to.label("take over")
    .op("mov %rdx,%r12", 0x49, 0x89, 0xd4)
    .op("mov %rcx,%r13", 0x49, 0x89, 0xcd)
    .op("mov %rsi,%rcx", 0x48, 0x89, 0xf1)
    .op("lea 0x0(,%rsi,8),%rax", 0x48, 0x8d, 0x04, 0xf5, 0, 0, 0, 0)
    .op("sub %rax,%rsp", 0x48, 0x29, 0xc4)
    .op("and $0xfffffffffffffff0,%rsp", 0x48, 0x83, 0xe4, 0xf0)
    .op("mov %rdi,%rsi", 0x48, 0x89, 0xfe)
    .op("mov %rsp,%rdi", 0x48, 0x89, 0xe7)
    .op("rep movsq %ds:(%rsi),%es:(%rdi)", 0xf3, 0x48, 0xa5)
    .op(`sub $0x${BUFFER.toString(16)},%rsp`, 0x48, 0x81, 0xec, ...immediate(BUFFER));
  call("getpid");
  to.op("mov %eax,%r14d", 0x41, 0x89, 0xc6).op(
    `mov $0x${PATIENCE.toString(16)},%r15d`,
    0x41,
    0xbf,
    ...immediate(PATIENCE),
  );
  to.label("look again")
    .op("xor %ebp,%ebp", 0x31, 0xed)
    .op("mov %r12d,%edi", 0x44, 0x89, 0xe7)
    .op("xor %esi,%esi", 0x31, 0xf6)
    .op("xor %edx,%edx", 0x31, 0xd2);
  call("lseek");
  to.label("read on")
    .op("mov %r12d,%edi", 0x44, 0x89, 0xe7)
    .op("mov %rsp,%rsi", 0x48, 0x89, 0xe6)
    .op(`mov $0x${BUFFER.toString(16)},%edx`, 0xba, ...immediate(BUFFER));
  call("getdents64");
  to.op("test %eax,%eax", 0x85, 0xc0)
    .to("jle", "all seen")
    .op("mov %rsp,%rbx", 0x48, 0x89, 0xe3)
    .op("movslq %eax,%r8", 0x4c, 0x63, 0xc0)
    .op("add %rbx,%r8", 0x49, 0x01, 0xd8)
    .label("next task")
    .op("xor %esi,%esi", 0x31, 0xf6)
    .op(`lea 0x${D_NAME.toString(16)}(%rbx),%rdi`, 0x48, 0x8d, 0x7b, D_NAME)
    .label("next digit")
    .op("movzbl (%rdi),%eax", 0x0f, 0xb6, 0x07)
    .op("sub $0x30,%eax", 0x83, 0xe8, 0x30)
    .op("cmp $0x9,%eax", 0x83, 0xf8, 0x09)
    .to("ja", "number read")
    .op("imul $0xa,%esi,%esi", 0x6b, 0xf6, 0x0a)
    .op("add %eax,%esi", 0x01, 0xc6)
    .op("inc %rdi", 0x48, 0xff, 0xc7)
    .to("jmp", "next digit")
    .label("number read")
    .op("test %esi,%esi", 0x85, 0xf6) // "." and ".."
    .to("je", "past task")
    .op("cmp %r14d,%esi", 0x44, 0x39, 0xf6)
    .to("je", "past task")
    .op("inc %ebp", 0xff, 0xc5)
    .op("mov %r14d,%edi", 0x44, 0x89, 0xf7)
    .op(`mov $0x${CARRIER.toString(16)},%edx`, 0xba, ...immediate(CARRIER));
  call("tgkill");
  to.label("past task")
    .op(`movzwl 0x${D_RECLEN.toString(16)}(%rbx),%eax`, 0x0f, 0xb7, 0x43, D_RECLEN)
    .op("add %rax,%rbx", 0x48, 0x01, 0xc3)
    .op("cmp %r8,%rbx", 0x4c, 0x39, 0xc3)
    .to("jb", "next task")
    .to("jmp", "read on")
    .label("all seen")
    .op("test %ebp,%ebp", 0x85, 0xed)
    .to("je", "alone")
    .op("dec %r15d", 0x41, 0xff, 0xcf)
    .to("je", "not alone")
    .rip("lea pause(%rip),%rdi", "pause", 0x48, 0x8d, 0x3d)
    .op("xor %esi,%esi", 0x31, 0xf6);
  call("nanosleep");
  to.to("jmp", "look again").label("alone").op("mov %r12d,%edi", 0x44, 0x89, 0xe7);
  call("close");
  for (const signal of [CARRIER, SIGPWR]) {
    to.op(`mov $0x${signal.toString(16)},%edi`, 0xbf, ...immediate(signal))
      .rip("lea default(%rip),%rsi", "default action", 0x48, 0x8d, 0x35)
      .op("xor %edx,%edx", 0x31, 0xd2)
      .op("mov $0x8,%r10d", 0x41, 0xba, ...immediate(8));
    call("rt_sigaction");
  }
  to.rip("lea stack(%rip),%rdi", "no signal stack", 0x48, 0x8d, 0x3d).op("xor %esi,%esi", 0x31, 0xf6);
  call("sigaltstack");
  to.op(`add $0x${BUFFER.toString(16)},%rsp`, 0x48, 0x81, 0xc4, ...immediate(BUFFER))
    .rip("ldmxcsr mxcsr(%rip)", "mxcsr", 0x0f, 0xae, 0x15)
    .op("fninit", 0xdb, 0xe3)
    .op("jmp *%r13", 0x41, 0xff, 0xe5)
    .label("not alone")
    .op("mov $0x2,%edi", 0xbf, ...immediate(2))
    .rip("lea complaint(%rip),%rsi", "complaint", 0x48, 0x8d, 0x35)
    .op(`mov $0x${complaint.length.toString(16)},%edx`, 0xba, ...immediate(complaint.length));
  call("write");
  to.op(`mov $0x${failure.toString(16)},%edi`, 0xbf, ...immediate(failure));
  call("exit_group");
  to.label("end thread").op("xor %edi,%edi", 0x31, 0xff);
  call("exit");
  to.align(8).label("pause").quad(0).quad(500_000);
  // struct kernel_sigaction: SIG_DFL; stack_t: SS_DISABLE
  to.label("default action").quad(0).quad(0).quad(0).quad(0).label("no signal stack").quad(0).quad(2).quad(0);
  // as a process begins: all exceptions masked, none flagged
  to.label("mxcsr").quad(0x1f80);
  to.label("complaint").data(complaint);
}
