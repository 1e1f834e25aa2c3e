// The program that a launcher briefly turns into where the attached program is to see another glibc's files in place of
// the machine's. It has one thread, as a process must to make a user namespace. It makes the namespaces, then turns
// into the program, with its own arguments and environment.

import { emitSteps, recordsOf, type Step } from "../../../lib/process/steps.ts";
import { Assembler, type Code } from "../../../lib/x86-64/assembler.ts";
import { eax, ebx, ecx } from "../../../lib/x86-64/narrow-registers.ts";
import { mem, rip } from "../../../lib/x86-64/operands.ts";
import { rax, rbp, rdi, rdx, rsi, rsp } from "../../../lib/x86-64/registers.ts";
import { EXIT } from "../../diagnostics/errors.ts";

export interface EnterTargets {
  readonly steps: readonly Step[];
  /** As passed to execve(2). */
  readonly program: string;
  /** What to say, and which exit status to end with, if the kernel refuses the execve: by errno, 0 for any other. */
  readonly refusals: readonly (readonly [errno: number, exitCode: number, text: string])[];
}

const STDERR = 2;

/** The entry point is `enter`. */
export function enterCode({ steps, program, refusals }: EnterTargets): Code {
  const to = new Assembler();
  emitEnter(to);
  emitSteps(to);
  to.align(8).label("records").data(recordsOf(steps));
  to.texts({ program });
  to.sizedText("not made", "capsule: Cannot make a mount namespace, which was possible a moment ago\n");
  to.label("refusals");
  for (const [errno, exitCode, text] of refusals) {
    const bytes = Buffer.from(text);
    to.quad(errno + exitCode * 2 ** 32);
    to.quad(bytes.length).data(bytes);
  }
  return to.assemble();
}

/** `enter`: rsp points at the arguments, where the kernel put them. */
export function emitEnter(to: Assembler): void {
  to.label("enter").mov(rsp, rbp).and(-16, rsp);
  to.lea(rip("records"), rdi).call("steps").test(rax, rax).jne("enter failed");
  to.mov(mem(rbp), rax).lea(mem(rbp, 8), rsi);
  to.lea(mem(rbp, 16, rax, 8), rdx).systemCall("execve", "program", rsi, rdx);
  to.neg(eax).mov(eax, ecx);
  // The refusals: errno, exit status, length, text; the last is for any errno.
  to.lea(rip("refusals"), rsi);
  to.label("next refusal").mov(mem(rsi), eax).mov(mem(rsi, 4), ebx).mov(mem(rsi, 8), rdx).add(16, rsi);
  to.cmp(eax, ecx).je("say");
  to.test(eax, eax).je("say");
  to.add(rdx, rsi).jmp("next refusal");
  to.label("enter failed").mov(EXIT.failure, ebx).lea(rip("not made"), rsi).mov(rip("not made size"), rdx);
  to.label("say").systemCall("write", STDERR, rsi, rdx).systemCall("exit_group", ebx).hlt();
}
