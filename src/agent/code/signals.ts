// A thread that dies of a signal says where, if that was in a capsule; then it dies as
// it would have. The program does not see the handler: sigaction and signal say
// SIG_DFL in its place.

import type { Address } from "../../../lib/memory/numbers.ts";
import type { Assembler } from "../../../lib/x86-64/assembler.ts";
import { Kind } from "../protocol.ts";
import { ask } from "./ask.ts";
import { systemCall } from "./system-call.ts";

/** Those that a program dies of by a fault of its own, by number. */
export const FATAL_SIGNALS: Readonly<Record<number, string>> = {
  4: "SIGILL",
  6: "SIGABRT",
  7: "SIGBUS",
  8: "SIGFPE",
  11: "SIGSEGV",
};

/** All that return the handler from before. */
export const SIGNAL_FUNCTIONS = ["signal", "bsd_signal", "ssignal", "sysv_signal", "__sysv_signal", "sigset"] as const;
export const SIGACTION_FUNCTIONS = ["sigaction", "__sigaction"] as const;

/** `on signal`, to be installed with SA_SIGINFO. Needs emitAgent's `request`. */
export function emitSignalHandler(to: Assembler, nothing: Address): void {
  to.label("on signal")
    .op("push %rbx", 0x53)
    .op("push %r12", 0x41, 0x54)
    .op("sub $0x8,%rsp", 0x48, 0x83, 0xec, 0x08)
    .op("mov %edi,%ebx", 0x89, 0xfb)
    .op("mov %rsi,%r12", 0x49, 0x89, 0xf4)
    .to("call", "tell death")
    // the default from now on
    .op("mov %ebx,%edi", 0x89, 0xdf)
    .rip("lea action(%rip),%rsi", "default action", 0x48, 0x8d, 0x35)
    .op("xor %edx,%edx", 0x31, 0xd2)
    .op("mov $0x8,%r10d", 0x41, 0xba, 0x08, 0x00, 0x00, 0x00)
    .op("mov $0xd,%eax", 0xb8, 0x0d, 0x00, 0x00, 0x00)
    .op("syscall", 0x0f, 0x05)
    // A fault happens again at once; a signal that somebody has sent, or abort, is sent again.
    .op("cmpl $0x0,0x8(%r12)", 0x41, 0x83, 0x7c, 0x24, 0x08, 0x00)
    .to("jg", "signal over")
    .op("mov $0x27,%eax", 0xb8, 0x27, 0x00, 0x00, 0x00)
    .op("syscall", 0x0f, 0x05)
    .op("mov %eax,%edi", 0x89, 0xc7)
    .op("mov $0xba,%eax", 0xb8, 0xba, 0x00, 0x00, 0x00)
    .op("syscall", 0x0f, 0x05)
    .op("mov %eax,%esi", 0x89, 0xc6)
    .op("mov %ebx,%edx", 0x89, 0xda)
    .op("mov $0xea,%eax", 0xb8, 0xea, 0x00, 0x00, 0x00)
    .op("syscall", 0x0f, 0x05)
    .label("signal over")
    .op("add $0x8,%rsp", 0x48, 0x83, 0xc4, 0x08)
    .op("pop %r12", 0x41, 0x5c)
    .op("pop %rbx", 0x5b)
    .op("ret", 0xc3);
  to.label("tell death");
  ask(to, Kind.death, "nothing address");
  to.align(8).label("default action").data(new Uint8Array(32)); // struct kernel_sigaction
  to.label("nothing address").quad(nothing);
}

/**
 * `quiet`, a handler to be called once on each of Bun's threads: blocks all signals there but those that glibc needs
 * itself, so that the program's reach its own threads. Counts in the 32 bits at `counter`. `restorer` is what glibc
 * adds to a handler; see sigreturn(2).
 */
export function emitQuieting(to: Assembler, counter: Address): void {
  to.label("quiet")
    .rip("mov mask(%rip),%rax", "quiet mask", 0x48, 0x8b, 0x05)
    .op("mov %rax,0x128(%rdx)", 0x48, 0x89, 0x82, 0x28, 0x01, 0x00, 0x00) // uc_sigmask
    .rip("mov counter(%rip),%rax", "quiet counter", 0x48, 0x8b, 0x05)
    .op("lock incl (%rax)", 0xf0, 0xff, 0x00)
    .op("ret", 0xc3)
    .label("restorer");
  systemCall(to, "rt_sigreturn", 15);
  to.op("hlt", 0xf4)
    .align(8)
    .label("quiet mask")
    .quad(~SIGNALS_OF_GLIBC & 0xffff_ffff_ffff_ffffn)
    .label("quiet counter")
    .quad(counter);
}

/** SIGCANCEL and SIGSETXID (32 and 33; 2.31-2.41), as a mask. */
const SIGNALS_OF_GLIBC = 3n << 31n;

/** The functions that tell of handlers, each at a label of its name; returns the names. `find` gives glibc's own. */
export function emitSignalFunctions(to: Assembler, find: (name: string) => Address | undefined): string[] {
  const names: string[] = [];
  const emit = (name: string, body: (real: string, done: string) => void): void => {
    const address = find(name);
    if (address === undefined) return;
    to.align(8).label(`real ${name}`).quad(address).label(name);
    body(`real ${name}`, `${name} done`);
    names.push(name);
  };
  // (signal, new, old)
  for (const name of SIGACTION_FUNCTIONS)
    emit(name, (real, done) => {
      to.op("push %rdx", 0x52)
        .rip("call *real(%rip)", real, 0xff, 0x15)
        .op("pop %rdx", 0x5a)
        .op("test %rdx,%rdx", 0x48, 0x85, 0xd2)
        .to("je", done)
        .op("test %eax,%eax", 0x85, 0xc0)
        .to("jne", done)
        .rip("lea signal(%rip),%rcx", "on signal", 0x48, 0x8d, 0x0d)
        .op("cmp %rcx,(%rdx)", 0x48, 0x39, 0x0a)
        .to("jne", done)
        .op("movq $0x0,(%rdx)", 0x48, 0xc7, 0x02, 0x00, 0x00, 0x00, 0x00)
        .op("movl $0x0,0x88(%rdx)", 0xc7, 0x82, 0x88, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00)
        .label(done)
        .op("ret", 0xc3);
    });
  // (signal, handler)
  for (const name of SIGNAL_FUNCTIONS)
    emit(name, (real, done) => {
      to.op("sub $0x8,%rsp", 0x48, 0x83, 0xec, 0x08)
        .rip("call *real(%rip)", real, 0xff, 0x15)
        .op("add $0x8,%rsp", 0x48, 0x83, 0xc4, 0x08)
        .rip("lea signal(%rip),%rcx", "on signal", 0x48, 0x8d, 0x0d)
        .op("cmp %rcx,%rax", 0x48, 0x39, 0xc8)
        .to("jne", done)
        .op("xor %eax,%eax", 0x31, 0xc0)
        .label(done)
        .op("ret", 0xc3);
    });
  return names;
}
