// The program that a launcher turns into for a moment where the attached program is to
// see another glibc's files in the place of the machine's: it has one thread, as a
// process must have that makes a user namespace, makes the namespaces, and turns into
// the program, with its own arguments and environment.

import { emitSteps, recordsOf, type Step } from "../../../lib/process/steps.ts";
import { Assembler, type Code } from "../../../lib/x86-64/assembler.ts";

export interface EnterTargets {
  readonly steps: readonly Step[];
  /** As execve(2) is given it. */
  readonly program: string;
  /** What to say, and with which exit status to end, where the kernel refuses that: by errno, 0 for any other. */
  readonly refusals: readonly (readonly [errno: number, exitCode: number, text: string])[];
}

const encoder = new TextEncoder();

/** It begins at `enter`. */
export function enterCode({ steps, program, refusals }: EnterTargets): Code {
  const to = new Assembler();
  emitEnter(to);
  emitSteps(to);
  to.align(8).label("records").data(recordsOf(steps));
  to.label("program").data(encoder.encode(`${program}\0`));
  const complaint = encoder.encode("capsule: Cannot make a mount namespace, which was possible a moment ago\n");
  to.label("not made").data(complaint).align(8).label("not made size").quad(complaint.length);
  to.label("refusals");
  for (const [errno, exitCode, text] of refusals) {
    const bytes = encoder.encode(text);
    to.quad(errno + exitCode * 2 ** 32)
      .quad(bytes.length)
      .data(bytes);
  }
  return to.assemble();
}

/** `enter`: where the kernel has put the arguments is told by rsp. */
export function emitEnter(to: Assembler): void {
  to.label("enter")
    .op("mov %rsp,%rbp", 0x48, 0x89, 0xe5)
    .op("and $0xfffffffffffffff0,%rsp", 0x48, 0x83, 0xe4, 0xf0)
    .rip("lea records(%rip),%rdi", "records", 0x48, 0x8d, 0x3d)
    .to("call", "steps")
    .op("test %rax,%rax", 0x48, 0x85, 0xc0)
    .to("jne", "enter failed")
    .op("mov 0x0(%rbp),%rax", 0x48, 0x8b, 0x45, 0x00)
    .op("lea 0x8(%rbp),%rsi", 0x48, 0x8d, 0x75, 0x08)
    .op("lea 0x10(%rbp,%rax,8),%rdx", 0x48, 0x8d, 0x54, 0xc5, 0x10)
    .rip("lea program(%rip),%rdi", "program", 0x48, 0x8d, 0x3d)
    .op("mov $0x3b,%eax", 0xb8, 0x3b, 0x00, 0x00, 0x00)
    .op("syscall # execve", 0x0f, 0x05)
    .op("neg %eax", 0xf7, 0xd8)
    .op("mov %eax,%ecx", 0x89, 0xc1)
    // What to say of it: errno, exit status, length, text; the last is for any.
    .rip("lea refusals(%rip),%rsi", "refusals", 0x48, 0x8d, 0x35)
    .label("next refusal")
    .op("mov (%rsi),%eax", 0x8b, 0x06)
    .op("mov 0x4(%rsi),%ebx", 0x8b, 0x5e, 0x04)
    .op("mov 0x8(%rsi),%rdx", 0x48, 0x8b, 0x56, 0x08)
    .op("add $0x10,%rsi", 0x48, 0x83, 0xc6, 0x10)
    .op("cmp %eax,%ecx", 0x39, 0xc1)
    .to("je", "say")
    .op("test %eax,%eax", 0x85, 0xc0)
    .to("je", "say")
    .op("add %rdx,%rsi", 0x48, 0x01, 0xd6)
    .to("jmp", "next refusal")
    .label("enter failed")
    .op("mov $0x7d,%ebx", 0xbb, 0x7d, 0x00, 0x00, 0x00)
    .rip("lea made(%rip),%rsi", "not made", 0x48, 0x8d, 0x35)
    .rip("mov size(%rip),%rdx", "not made size", 0x48, 0x8b, 0x15)
    .label("say")
    .op("mov $0x2,%edi", 0xbf, 0x02, 0x00, 0x00, 0x00)
    .op("mov $0x1,%eax", 0xb8, 0x01, 0x00, 0x00, 0x00)
    .op("syscall # write", 0x0f, 0x05)
    .op("mov %ebx,%edi", 0x89, 0xdf)
    .op("mov $0xe7,%eax", 0xb8, 0xe7, 0x00, 0x00, 0x00)
    .op("syscall # exit_group", 0x0f, 0x05)
    .op("hlt", 0xf4);
}
