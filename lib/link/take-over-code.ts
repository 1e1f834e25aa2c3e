// Turns this process into a program's: ends all threads but the first one, which starts the program.

import { SIGPWR, SIGSETXID } from "../process/thread-signals.ts";
import { type Assembler, immediate } from "../x86-64/assembler.ts";

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
 * `end thread` is what the handler of SIGSETXID has to be, and SIGPWR has to be ignored: a thread that is stopped by
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
    .op(`mov $0x${SIGSETXID.toString(16)},%edx`, 0xba, ...immediate(SIGSETXID));
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
  for (const signal of [SIGSETXID, SIGPWR]) {
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
