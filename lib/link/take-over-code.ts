// Turns this process into the program's: ends all threads except the first, which starts the program.

import { SIGPWR, SIGSETXID } from "../process/signals.ts";
import type { Assembler } from "../x86-64/assembler.ts";
import { eax, ebp, esi, r12d, r14d, r15d } from "../x86-64/narrow-registers.ts";
import { char, mem, rip } from "../x86-64/operands.ts";
import { r8, r12, r13, rax, rbx, rcx, rdi, rdx, rsi, rsp } from "../x86-64/registers.ts";

/** How many times to check whether all threads have ended, half a millisecond apart. */
const MOST_LOOKS = 4000;
const BUFFER = 4096;
const STDERR = 2;
/** A signal set's size. */
const MASK_SIZE = 8;

/** Offsets in linux_dirent64. */
const [D_RECLEN, D_NAME] = [16, 19];

/**
 * `take over` (context, its length in words, tasks, start): a C function for the first thread that does not return. It
 * ends all other threads, puts the context on its stack, and continues at `start`. `tasks` is an open /proc/self/task.
 * `end thread` must be the handler of SIGSETXID, and SIGPWR must be ignored: a thread suspended by a thread that has
 * since ended would wait for ever. If threads do not end, the process writes `complaint` to standard error and ends
 * with exit code `failure`.
 */
export function emitTakeOver(to: Assembler, failure: number, complaint: Uint8Array): void {
  // r12: tasks, r13: start, r14: the process; r15: checks left; ebp: other threads seen; rbx, r8: an entry, and the end
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
  // the initial value in a process: all exceptions masked, none flagged
  to.label("mxcsr").quad(0x1f80);
  to.label("complaint").data(complaint);
}
