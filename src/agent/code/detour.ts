// What stands in the place of libc where processes are to run on another glibc than
// the one whose ld.so the kernel starts: that ld.so has loaded the program and relocates
// it, nothing of it has run yet, and here the program is started over, by the name of
// the ld.so that was chosen.

import type { Assembler } from "../../../lib/x86-64/assembler.ts";
import { eax, ebp, ecx, r8d, r10d } from "../../../lib/x86-64/narrow-registers.ts";
import { char, mem, rip } from "../../../lib/x86-64/operands.ts";
import {
  r8,
  r9,
  r10,
  r11,
  r12,
  r13,
  r14,
  r15,
  rax,
  rbp,
  rbx,
  rcx,
  rdi,
  rsi,
  rsp,
} from "../../../lib/x86-64/registers.ts";
import { EXIT } from "../../diagnostics/errors.ts";
import { CALLED, emitVectors, STARTED_AS } from "./vectors.ts";

const encoder = new TextEncoder();
/** As long as the kernel lets one be. */
const PATH_SIZE = 4096;
const STDERR = 2;

export interface DetourTargets {
  /** The ld.so. */
  readonly loader: string;
  /** It can be told what the program is called. */
  readonly takesArgv0: boolean;
  /** The directory with the glibc that belongs to it: first on the library path. */
  readonly libraries: string;
  /** What is preloaded, by a name that is found there; a path may have spaces. See identity.ts. */
  readonly identity: string;
  /** For GCONV_PATH, unless the environment has that. */
  readonly characterSets: string | undefined;
  /** Written to standard error where the kernel refuses. */
  readonly complaint: string;
  /** The same for a static program that opens libraries. */
  readonly ofStatic: string;
}

/** `detour`, a function that does not return. */
export function emitDetour(to: Assembler, targets: DetourTargets): void {
  emitVectors(to);
  to.label("detour");
  // A static program's dlopen has loaded an ld.so that has started nothing, and cannot be asked for the arguments.
  to.mov(rip("stack end"), rax).cmpq(0, mem(rax)).je("static");
  to.call("vectors");
  // The file of the program: what the kernel runs, or what an ld.so has been told to run, whose own arguments come
  // first then.
  to.sub(PATH_SIZE + 8, rsp)
    .mov(r15, r11)
    .test(rbp, rbp)
    .je("told");
  to.systemCall("readlink", "proc", rsp, PATH_SIZE - 1)
    .mov(r15, r11)
    .test(rax, rax)
    .jle("file known");
  to.movb(0, mem(rsp, 0, rax)).systemCall("access", rsp, 0);
  to.mov(r15, r11).test(rax, rax).cmove(rsp, r11).jmp("file known");
  to.label("told").xor(ecx, ecx);
  to.label("next argument").cmp(r12, rcx).jae("file known");
  to.cmp(r15, mem(r13, 0, rcx, 8)).je("first argument");
  to.inc(rcx).jmp("next argument");
  to.label("first argument");
  to.sub(rcx, r12).lea(mem(r13, 0, rcx, 8), r13);
  to.label("file known").xchg(r11, r15); // r15: the file, r11: what it was started as
  // The library path: the last that the environment has, behind our own directory.
  to.xor(ebp, ebp).xor(r8d, r8d); // how many variables
  to.label("next variable").mov(mem(r14, 0, r8, 8), rax);
  to.test(rax, rax).je("variables known");
  to.inc(r8).lea(rip("path name"), rsi).mov(rax, rdi).call("begins");
  to.cmove(rdi, rbp).jmp("next variable");
  to.label("variables known").lea(rip("own path"), rdi).call("length");
  to.mov(rax, r9).xor(r10d, r10d).test(rbp, rbp).je("path measured");
  to.mov(rbp, rdi).call("length");
  to.mov(rax, r10);
  to.label("path measured").lea(mem(r9, 32, r10), rax); // a colon and a NUL, too
  to.and(-16, rax).sub(rax, rsp).mov(rsp, rdi).mov(rsp, rbx); // rbx: the library path
  to.lea(rip("own path"), rsi).mov(r9, rcx).rep().movsb();
  to.test(r10, r10).je("path ends");
  to.movb(char(":"), mem(rdi)).inc(rdi).mov(rbp, rsi).mov(r10, rcx).rep().movsb();
  to.label("path ends").movb(0, mem(rdi));
  // What it was started as, and is called if the ld.so cannot be told, for more variables.
  to.mov(r11, rbp);
  emitVariable(to, "started name");
  to.mov(rsp, r11); // r11: that variable
  if (!targets.takesArgv0) {
    to.mov(mem(r13), rbp).test(rbp, rbp).cmove(r15, rbp);
    emitVariable(to, "called name");
    to.mov(rsp, r9); // r9: the other
  }
  // The environment, with these variables in front; where its character sets are unless that is there.
  to.lea(mem(undefined, 64, r8, 8), rax);
  to.and(-16, rax).sub(rax, rsp).mov(rsp, rdi).mov(rsp, rbp); // rbp: the environment
  to.mov(r11, rax).stosq();
  if (!targets.takesArgv0) to.mov(r9, rax).stosq();
  to.lea(rip("sets"), rax).cmpb(0, mem(rax)).je("copy variables");
  to.xor(ecx, ecx);
  to.label("look for sets").mov(mem(r14, 0, rcx, 8), rax);
  to.test(rax, rax).je("add sets");
  to.inc(rcx).push(rdi).mov(rax, rdi).lea(rip("sets name"), rsi).call("begins").pop(rdi);
  to.je("copy variables").jmp("look for sets");
  to.label("add sets").lea(rip("sets"), rax).stosq();
  to.label("copy variables").mov(r14, rsi).lea(mem(r8, 1), rcx).rep().movsq();
  // The arguments: the ld.so's own, the program, and its.
  to.lea(mem(undefined, 96, r12, 8), rax);
  to.and(-16, rax).sub(rax, rsp).mov(rsp, rdi).lea(rip("loader"), rax).stosq();
  if (targets.takesArgv0) {
    to.lea(rip("option name"), rax).stosq().mov(mem(r13), rax).test(rax, rax).cmove(r15, rax).stosq();
  }
  to.lea(rip("option path"), rax).stosq().mov(rbx, rax).stosq();
  to.lea(rip("option preload"), rax).stosq().lea(rip("identity"), rax).stosq().mov(r15, rax).stosq();
  to.lea(mem(r13, 8), rsi).mov(r12, rcx).test(rcx, rcx).jne("copy arguments").sub(8, rsi).inc(rcx);
  to.label("copy arguments").rep().movsq().systemCall("execve", "loader", rsp, rbp);
  complain(to, "complaint", "complaint size");
  complain(to.label("static"), "static complaint", "static size");
  // How long is the text at rdi?
  to.label("length").xor(eax, eax);
  to.label("next byte");
  to.cmpb(0, mem(rdi, 0, rax)).je("length done");
  to.inc(rax).jmp("next byte");
  to.label("length done").ret();
  emitData(to, targets);
}

/** Writes it to standard error, and ends the process. */
function complain(to: Assembler, text: string, size: string): void {
  to.systemCall("write", STDERR, text, rip(size)).systemCall("exit_group", EXIT.failure).hlt();
}

/**
 * `check`, for a stand-in of another library of glibc's: libc's comes with it, and starts the program over. Where the
 * program has a libc of its own, nothing would, and each call would lead nowhere. The quad at `anchor` is the address
 * of one of libc's functions, `nowhere` what a stand-in's are.
 */
export function emitCheck(to: Assembler, nowhere: number, complaint: string): void {
  const text = encoder.encode(complaint);
  to.label("check").mov(rip("anchor"), rax).cmp(nowhere, rax).jne("two halves");
  to.xor(eax, eax).ret();
  complain(to.label("two halves"), "complaint", "complaint size");
  to.label("complaint").data(text).align(8).label("complaint size").quad(text.length);
}

/**
 * Builds a variable on the stack, where rsp points at it then: `name`, a label, and what rbp points at. Changes r9 and
 * r10.
 */
function emitVariable(to: Assembler, name: string): void {
  to.lea(rip(name), rdi).call("length");
  to.mov(rax, r9).mov(rbp, rdi).call("length");
  to.mov(rax, r10).lea(mem(r9, 32, r10), rax);
  to.and(-16, rax).sub(rax, rsp).mov(rsp, rdi).lea(rip(name), rsi).mov(r9, rcx).rep().movsb();
  to.mov(rbp, rsi).lea(mem(r10, 1), rcx).rep().movsb();
}

function emitData(to: Assembler, targets: DetourTargets): void {
  const { loader, libraries, identity, characterSets } = targets;
  const [text, ofStatic] = [encoder.encode(targets.complaint), encoder.encode(targets.ofStatic)];
  for (const [label, value] of [
    ["proc", "/proc/self/exe"],
    ["path name", "LD_LIBRARY_PATH="],
    ["started name", STARTED_AS],
    ["called name", CALLED],
    ["sets name", "GCONV_PATH="],
    ["sets", characterSets === undefined ? "" : `GCONV_PATH=${characterSets}`],
    ["loader", loader],
    ["own path", libraries],
    ["identity", identity],
    ["option name", "--argv0"],
    ["option path", "--library-path"],
    ["option preload", "--preload"],
  ] as const)
    to.label(label).data(encoder.encode(`${value}\0`));
  to.label("complaint").data(text).align(8).label("complaint size").quad(text.length);
  to.label("static complaint").data(ofStatic).align(8).label("static size").quad(ofStatic.length);
}
