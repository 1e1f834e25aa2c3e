// Turns this process into a program's: ends all threads but the first one, which starts the program.

import { SIGPWR, SIGSETXID } from "../process/thread-signals.ts";
import type { Assembler } from "../x86-64/assembler.ts";
import { eax, ebp, esi, r12d, r14d, r15d } from "../x86-64/narrow-registers.ts";
import { char, mem, rip } from "../x86-64/operands.ts";
import { r8, r12, r13, rax, rbx, rcx, rdi, rdx, rsi, rsp } from "../x86-64/registers.ts";

/** How often it is looked whether all threads have ended, half a millisecond apart. */
const MOST_LOOKS = 4000;
const BUFFER = 4096;
const STDERR = 2;
/** Of a set of signals. */
const MASK_SIZE = 8;

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
  // r12: tasks, r13: start, r14: the process; r15: how often; ebp: how many others; rbx, r8: an entry, and the end
  to.label("take over").mov(rdx, r12).mov(rcx, r13).mov(rsi, rcx);
  to.lea(mem(undefined, 0, rsi, 8), rax).sub(rax, rsp);
  to.and(-16, rsp).mov(rdi, rsi).mov(rsp, rdi).rep().movsq().sub(BUFFER, rsp);
  to.systemCall("getpid").mov(eax, r14d).mov(MOST_LOOKS, r15d);
  to.label("look again").xor(ebp, ebp).systemCall("lseek", r12d, 0, 0);
  to.label("read on").systemCall("getdents64", r12d, rsp, BUFFER).test(eax, eax).jle("all seen");
  to.mov(rsp, rbx).movslq(eax, r8).add(rbx, r8);
  to.label("next task").xor(esi, esi).lea(mem(rbx, D_NAME), rdi);
  to.label("next digit").movzbl(mem(rdi), eax).sub(char("0"), eax).cmp(9, eax).ja("number read");
  to.imul(10, esi, esi).add(eax, esi).inc(rdi).jmp("next digit");
  to.label("number read").test(esi, esi).je("past task"); // "." and ".."
  to.cmp(r14d, esi).je("past task");
  to.inc(ebp).systemCall("tgkill", r14d, esi, SIGSETXID);
  to.label("past task").movzwl(mem(rbx, D_RECLEN), eax).add(rax, rbx).cmp(r8, rbx).jb("next task").jmp("read on");
  to.label("all seen").test(ebp, ebp).je("alone");
  to.dec(r15d).je("not alone");
  to.systemCall("nanosleep", "pause", 0).jmp("look again");
  to.label("alone").systemCall("close", r12d);
  for (const signal of [SIGSETXID, SIGPWR]) to.systemCall("rt_sigaction", signal, "default action", 0, MASK_SIZE);
  to.systemCall("sigaltstack", "no signal stack", 0);
  to.add(BUFFER, rsp).ldmxcsr(rip("mxcsr")).fninit().jmp(r13);
  to.label("not alone").systemCall("write", STDERR, "complaint", complaint.length);
  to.systemCall("exit_group", failure);
  to.label("end thread").systemCall("exit", 0);
  to.align(8).label("pause").quad(0).quad(500_000);
  // struct kernel_sigaction: SIG_DFL; stack_t: SS_DISABLE
  to.label("default action").quad(0).quad(0).quad(0).quad(0).label("no signal stack").quad(0).quad(2).quad(0);
  // as a process begins: all exceptions masked, none flagged
  to.label("mxcsr").quad(0x1f80);
  to.label("complaint").data(complaint);
}
