// A thread that dies of a signal by its own fault reports where, if that was in a capsule. A hosted program that dies of
// any signal leaves no files behind. Then it dies as it would have. The program does not see the handler: sigaction and
// signal report SIG_DFL in its place.

import type { Address } from "../../../lib/memory/numbers.ts";
import type { Assembler } from "../../../lib/x86-64/assembler.ts";
import { eax, ebx, edi } from "../../../lib/x86-64/narrow-registers.ts";
import { mem, rip } from "../../../lib/x86-64/operands.ts";
import { r12, rax, rbx, rcx, rdx, rsi, rsp } from "../../../lib/x86-64/registers.ts";
import { Kind } from "../protocol.ts";
import { ask } from "./ask.ts";
import { emitInFront, type Find } from "./in-front.ts";

/** Signals that a program dies of by its own fault, by number. */
export const FATAL_SIGNALS: Readonly<Record<number, string>> = {
  4: "SIGILL",
  6: "SIGABRT",
  7: "SIGBUS",
  8: "SIGFPE",
  11: "SIGSEGV",
};

/**
 * Other signals that a program dies of, by number: SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGPIPE, SIGALRM, SIGTERM,
 * SIGXCPU, SIGXFSZ, SIGVTALRM, SIGPROF, SIGIO.
 */
export const ENDING_SIGNALS: readonly number[] = [1, 2, 3, 10, 12, 13, 14, 15, 24, 25, 26, 27, 29];

/** All functions that return the previous handler. */
const SIGNAL_FUNCTIONS = ["signal", "bsd_signal", "ssignal", "sysv_signal", "__sysv_signal", "sigset"] as const;
const SIGACTION_FUNCTIONS = ["sigaction", "__sigaction"] as const;

/** Offsets in glibc's siginfo_t, ucontext_t and struct sigaction, in bytes, and the size of the kernel's sigset_t. */
const [SI_CODE, UC_SIGMASK, SA_FLAGS, MASK_SIZE] = [8, 0x128, 0x88, 8] as const;

/**
 * `on signal`, to be installed with SA_SIGINFO. Needs emitAgent's `request`. `cleanup` is the label of what it calls
 * before the process dies.
 */
export function emitSignalHandler(to: Assembler, nothing: Address, cleanup?: string): void {
  to.label("on signal").push(rbx, r12).sub(8, rsp).mov(edi, ebx).mov(rsi, r12);
  for (const signal of Object.keys(FATAL_SIGNALS)) to.cmp(Number(signal), ebx).je("by its fault");
  emitDefault(to, cleanup);
  to.label("signal again").systemCall("getpid").mov(eax, edi).systemCall("gettid").systemCall("tgkill", edi, eax, ebx);
  to.label("signal over").add(8, rsp).pop(r12, rbx).ret();
  to.label("by its fault").mov(ebx, edi).mov(r12, rsi).call("tell death");
  emitDefault(to, cleanup);
  // A fault recurs at once; a signal that was sent, also by abort, is sent again.
  to.cmpl(0, mem(r12, SI_CODE)).jg("signal over").jmp("signal again");
  to.label("tell death");
  ask(to, Kind.death, "nothing address");
  to.align(8).label("default action").data(new Uint8Array(32)); // struct kernel_sigaction
  to.label("nothing address").quad(nothing);
}

function emitDefault(to: Assembler, cleanup: string | undefined): void {
  if (cleanup !== undefined) to.call(cleanup);
  to.systemCall("rt_sigaction", ebx, "default action", 0, MASK_SIZE);
}

/**
 * `quiet`, a handler to be called once on each of Bun's threads: blocks all signals there except those that glibc needs
 * itself, so that the program's signals reach the program's threads. Counts in the 32 bits at `counter`. `restorer` is
 * what glibc adds to a handler; see sigreturn(2).
 */
export function emitQuieting(to: Assembler, counter: Address): void {
  to.label("quiet").mov(rip("quiet mask"), rax).mov(rax, mem(rdx, UC_SIGMASK));
  to.mov(rip("quiet counter"), rax).lock().incl(mem(rax)).ret();
  to.label("restorer").systemCall("rt_sigreturn").hlt();
  to.align(8);
  to.quads({ "quiet mask": ~SIGNALS_OF_GLIBC & 0xffff_ffff_ffff_ffffn, "quiet counter": counter });
}

/** SIGCANCEL and SIGSETXID (32 and 33; 2.31-2.41), as a mask. */
const SIGNALS_OF_GLIBC = 3n << 31n;

/** The functions that report handlers. */
export function emitSignalFunctions(to: Assembler, find: Find): string[] {
  return [
    // (signal, new, old)
    ...emitInFront(to, SIGACTION_FUNCTIONS, find, (name, real) => {
      const done = `${name} done`;
      to.push(rdx).call(rip(real)).pop(rdx).test(rdx, rdx).je(done).test(eax, eax).jne(done);
      to.lea(rip("on signal"), rcx).cmp(rcx, mem(rdx)).jne(done);
      to.movq(0, mem(rdx)).movl(0, mem(rdx, SA_FLAGS));
      to.label(done).ret();
    }),
    // (signal, handler)
    ...emitInFront(to, SIGNAL_FUNCTIONS, find, (name, real) => {
      const done = `${name} done`;
      to.sub(8, rsp).call(rip(real)).add(8, rsp);
      to.lea(rip("on signal"), rcx).cmp(rcx, rax).jne(done).xor(eax, eax);
      to.label(done).ret();
    }),
  ];
}
