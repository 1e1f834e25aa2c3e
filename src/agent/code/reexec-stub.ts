// The stub of libc, for processes that are to run on another glibc than the one whose ld.so the kernel starts. That
// ld.so has loaded the program and is relocating it; no code of the program has run yet. Here the program is started
// over, by the name of the ld.so that was chosen.

import type { Assembler } from "../../../lib/x86-64/assembler.ts";
import { PATH_MAX } from "../../../lib/x86-64/linux.ts";
import { al, eax, ebp, ebx, ecx, edi, r8d, r10d } from "../../../lib/x86-64/narrow-registers.ts";
import { address, char, mem, rip } from "../../../lib/x86-64/operands.ts";
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
import { CALLED, emitBegins, emitVectors, STARTED_AS } from "./vectors.ts";

/** How much of a command line is read. */
const COMMAND_SIZE = 0x10000;
const O_CLOEXEC = 0x80000;
const STDERR = 2;

export interface ReexecStubTargets {
  /** The path of the ld.so. */
  readonly loader: string;
  /** Whether it can be told argv[0]. */
  readonly takesArgv0: boolean;
  /** The directory of the ld.so's own glibc: first on the library path. */
  readonly libraries: string;
  /** The preloaded object, by a name that is found there, since a path may contain spaces. See exe-shim.ts. */
  readonly exeShim: string;
  /** For GCONV_PATH, unless the environment sets it. */
  readonly characterSets: string | undefined;
  /** Written to standard error if the kernel refuses the execve. */
  readonly complaint: string;
  /** Written for a static program that opens libraries. */
  readonly ofStatic: string;
}

/** `reexecStub`, a function that does not return. */
export function emitReexecStub(to: Assembler, targets: ReexecStubTargets): void {
  emitVectors(to);
  emitBegins(to);
  to.label("reexecStub");
  // In a static program, dlopen loaded an ld.so that did not start the process and does not know the arguments.
  to.mov(rip("stack end"), rax).cmpq(0, mem(rax)).je("static");
  to.call("vectors");
  // The program's file: what the kernel runs, or what an ld.so was told to run, whose own arguments then come first.
  to.sub(PATH_MAX + 8, rsp)
    .mov(r15, r11)
    .xor(ebx, ebx) // rbx: the library path given to an ld.so
    .test(rbp, rbp)
    .je("told");
  to.systemCall("readlink", "proc", rsp, PATH_MAX - 1).mov(r15, r11);
  to.test(rax, rax).jle("file known");
  to.movb(0, mem(rsp, 0, rax)).systemCall("access", rsp, 0);
  to.mov(r15, r11).test(rax, rax).cmove(rsp, r11).jmp("file known");
  to.label("told").sub(COMMAND_SIZE, rsp).call("given path");
  to.mov(r15, r11).xor(ecx, ecx);
  to.label("next argument").cmp(r12, rcx).jae("file known");
  to.cmp(r15, mem(r13, 0, rcx, 8)).je("first argument");
  to.inc(rcx).jmp("next argument");
  to.label("first argument");
  to.sub(rcx, r12).lea(mem(r13, 0, rcx, 8), r13);
  to.label("file known").xchg(r11, r15); // r15: the file, r11: what it was started as
  // The library path: our directory, the path given to the ld.so, and the environment's last LD_LIBRARY_PATH.
  to.xor(ebp, ebp).xor(r8d, r8d); // r8: how many variables
  to.label("next variable").mov(mem(r14, 0, r8, 8), rax);
  to.test(rax, rax).je("variables known");
  to.inc(r8).lea(rip("path name"), rsi).mov(rax, rdi).call("begins");
  to.cmove(rdi, rbp).jmp("next variable");
  to.label("variables known");
  emitPath(to);
  // More variables: what it was started as, and argv[0] if the ld.so cannot be told that.
  to.mov(r11, rbp);
  emitVariable(to, "started name");
  to.mov(rsp, r11); // r11: that variable
  if (!targets.takesArgv0) {
    to.mov(mem(r13), rbp).test(rbp, rbp).cmove(r15, rbp);
    emitVariable(to, "called name");
    to.mov(rsp, r9); // r9: the other variable
  }
  // The environment: these variables first, and GCONV_PATH unless it is set.
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
  // The arguments: the ld.so's, the program, and the program's.
  to.lea(mem(undefined, 96, r12, 8), rax);
  to.and(-16, rax).sub(rax, rsp).mov(rsp, rdi).lea(rip("loader"), rax).stosq();
  if (targets.takesArgv0) {
    to.lea(rip("option name"), rax).stosq().mov(mem(r13), rax).test(rax, rax).cmove(r15, rax).stosq();
  }
  to.lea(rip("option path"), rax).stosq().mov(rbx, rax).stosq();
  to.lea(rip("option preload"), rax).stosq().lea(rip("exeShim"), rax).stosq().mov(r15, rax).stosq();
  to.lea(mem(r13, 8), rsi).mov(r12, rcx).test(rcx, rcx).jne("copy arguments").sub(8, rsi).inc(rcx);
  to.label("copy arguments").rep().movsq().systemCall("execve", "loader", rsp, rbp);
  complain(to, "complaint");
  complain(to.label("static"), "static complaint");
  emitLength(to);
  emitGivenPath(to);
  emitData(to, targets);
}

/**
 * Builds the library path on the stack and leaves it in rbx: our directory, then the strings at rbx and rbp, if not 0.
 */
function emitPath(to: Assembler): void {
  to.xor(r10d, r10d).mov(rbx, rdi).call("measure"); // r10: the length of what follows, with colons
  to.mov(rbp, rdi).call("measure");
  to.lea(rip("own path"), rdi).call("length");
  to.mov(rax, r9).lea(mem(r9, 32, r10), rax); // with room for a NUL
  to.and(-16, rax).sub(rax, rsp).mov(rsp, rdi).lea(rip("own path"), rsi).mov(r9, rcx).rep().movsb();
  to.mov(rbx, rsi).call("append").mov(rbp, rsi).call("append");
  to.movb(0, mem(rdi)).mov(rsp, rbx).jmp("path built");
  to.label("measure"); // (text or 0): adds its length plus a colon to r10
  to.test(rdi, rdi).je("measured").call("length");
  to.lea(mem(r10, 1, rax), r10);
  to.label("measured").ret();
  to.label("append"); // (where, text or 0): leaves rdi at the end; an empty element would be the current directory
  to.test(rsi, rsi).je("appended").cmpb(0, mem(rsi)).je("appended");
  to.movb(char(":"), mem(rdi)).inc(rdi);
  to.label("append byte").mov(mem(rsi), al).test(al, al).je("appended");
  to.mov(al, mem(rdi)).inc(rsi).inc(rdi).jmp("append byte");
  to.label("appended").ret();
  to.label("path built");
}

/** `length`: rax is the length of the string at rdi. */
function emitLength(to: Assembler): void {
  to.label("length").xor(eax, eax);
  to.label("next byte");
  to.cmpb(0, mem(rdi, 0, rax)).je("length done");
  to.inc(rax).jmp("next byte");
  to.label("length done").ret();
}

/**
 * `given path`: leaves in rbx the --library-path of an ld.so that was started by name, or 0. Since 2.35 ld.so removes
 * its own arguments from the stack, so they are read from /proc, into COMMAND_SIZE bytes above the return address.
 */
function emitGivenPath(to: Assembler): void {
  to.label("given path").xor(ebx, ebx).systemCall("open", "cmdline", O_CLOEXEC);
  to.test(eax, eax).js("given known");
  to.mov(eax, edi).systemCall("read", edi, address(mem(rsp, 8)), COMMAND_SIZE - 1);
  to.test(rax, rax).jle("given known");
  to.lea(mem(rsp, 8), rdi).lea(mem(rdi, 0, rax), r8);
  to.movb(0, mem(r8));
  to.label("skip a word").call("length");
  to.lea(mem(rdi, 1, rax), rdi);
  to.cmp(r8, rdi).jae("given known");
  to.cmpb(char("-"), mem(rdi)).jne("given known").cmpb(char("-"), mem(rdi, 1)).jne("given known");
  to.mov(rdi, r9).lea(rip("option path"), rsi).call("begins").jne("another option");
  to.lea(mem(rdi, 1), rbx);
  to.label("another option");
  // All options that still run a program take a value, except this one.
  to.mov(r9, rdi).lea(rip("option inhibit"), rsi).call("begins").mov(r9, rdi).je("skip a word");
  to.call("length").lea(mem(rdi, 1, rax), rdi);
  to.jmp("skip a word");
  to.label("given known").ret();
}

/** Writes the text to standard error and ends the process. */
function complain(to: Assembler, text: string): void {
  to.systemCall("write", STDERR, text, rip(`${text} size`)).systemCall("exit_group", EXIT.failure);
  to.hlt();
}

/**
 * `check`, for a stub library of another glibc library: libc's stub library comes with it, and starts the program over.
 * If the program has a libc of its own, nothing would start it over, and each call would go nowhere. The quad at
 * `anchor` is the address of one of libc's functions, `nowhere` the address of a stub library's functions.
 */
export function emitCheck(to: Assembler, nowhere: number, complaint: string): void {
  to.label("check").mov(rip("anchor"), rax).cmp(nowhere, rax).jne("two halves");
  to.xor(eax, eax).ret();
  complain(to.label("two halves"), "complaint");
  to.sizedText("complaint", complaint);
}

/**
 * Builds a variable on the stack, where rsp then points: the name at label `name`, and the value at rbp. Changes r9 and
 * r10.
 */
function emitVariable(to: Assembler, name: string): void {
  to.lea(rip(name), rdi).call("length");
  to.mov(rax, r9).mov(rbp, rdi).call("length");
  to.mov(rax, r10).lea(mem(r9, 32, r10), rax);
  to.and(-16, rax).sub(rax, rsp).mov(rsp, rdi).lea(rip(name), rsi).mov(r9, rcx).rep().movsb();
  to.mov(rbp, rsi).lea(mem(r10, 1), rcx).rep().movsb();
}

function emitData(to: Assembler, targets: ReexecStubTargets): void {
  const { loader, libraries, exeShim, characterSets } = targets;
  to.texts({
    proc: "/proc/self/exe",
    cmdline: "/proc/self/cmdline",
    "path name": "LD_LIBRARY_PATH=",
    "started name": STARTED_AS,
    "called name": CALLED,
    "sets name": "GCONV_PATH=",
    sets: characterSets === undefined ? "" : `GCONV_PATH=${characterSets}`,
    loader,
    "own path": libraries,
    exeShim,
    "option name": "--argv0",
    "option path": "--library-path",
    "option preload": "--preload",
    "option inhibit": "--inhibit-cache",
  });
  to.sizedText("complaint", targets.complaint).sizedText("static complaint", targets.ofStatic);
}
