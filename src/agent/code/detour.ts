// What stands in the place of libc where processes are to run on another glibc than
// the one whose ld.so the kernel starts: that ld.so has loaded the program and relocates
// it, nothing of it has run yet, and here the program is started over, by the name of
// the ld.so that was chosen.

import type { Assembler } from "../../../lib/x86-64/assembler.ts";
import { CALLED, emitVectors, STARTED_AS } from "./vectors.ts";

const encoder = new TextEncoder();

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
  to.label("detour")
    // A static program's dlopen has loaded an ld.so that has started nothing, and cannot be asked for the arguments.
    .rip("mov end(%rip),%rax", "stack end", 0x48, 0x8b, 0x05)
    .op("cmpq $0x0,(%rax)", 0x48, 0x83, 0x38, 0x00)
    .to("je", "static")
    .to("call", "vectors")
    // The file of the program: what the kernel runs, or what an ld.so has been told to run, whose own arguments come
    // first then.
    .op("sub $0x1008,%rsp", 0x48, 0x81, 0xec, 0x08, 0x10, 0x00, 0x00)
    .op("mov %r15,%r11", 0x4d, 0x89, 0xfb)
    .op("test %rbp,%rbp", 0x48, 0x85, 0xed)
    .to("je", "told")
    .rip("lea proc(%rip),%rdi", "proc", 0x48, 0x8d, 0x3d)
    .op("mov %rsp,%rsi", 0x48, 0x89, 0xe6)
    .op("mov $0xfff,%edx", 0xba, 0xff, 0x0f, 0x00, 0x00)
    .op("mov $0x59,%eax", 0xb8, 0x59, 0x00, 0x00, 0x00)
    .op("syscall # readlink", 0x0f, 0x05)
    .op("mov %r15,%r11", 0x4d, 0x89, 0xfb)
    .op("test %rax,%rax", 0x48, 0x85, 0xc0)
    .to("jle", "file known")
    .op("movb $0x0,(%rsp,%rax,1)", 0xc6, 0x04, 0x04, 0x00)
    .op("mov %rsp,%rdi", 0x48, 0x89, 0xe7)
    .op("xor %esi,%esi", 0x31, 0xf6)
    .op("mov $0x15,%eax", 0xb8, 0x15, 0x00, 0x00, 0x00)
    .op("syscall # access", 0x0f, 0x05)
    .op("mov %r15,%r11", 0x4d, 0x89, 0xfb)
    .op("test %rax,%rax", 0x48, 0x85, 0xc0)
    .op("cmove %rsp,%r11", 0x4c, 0x0f, 0x44, 0xdc)
    .to("jmp", "file known")
    .label("told")
    .op("xor %ecx,%ecx", 0x31, 0xc9)
    .label("next argument")
    .op("cmp %r12,%rcx", 0x4c, 0x39, 0xe1)
    .to("jae", "file known")
    .op("cmp %r15,0x0(%r13,%rcx,8)", 0x4d, 0x39, 0x7c, 0xcd, 0x00)
    .to("je", "first argument")
    .op("inc %rcx", 0x48, 0xff, 0xc1)
    .to("jmp", "next argument")
    .label("first argument")
    .op("sub %rcx,%r12", 0x49, 0x29, 0xcc)
    .op("lea 0x0(%r13,%rcx,8),%r13", 0x4d, 0x8d, 0x6c, 0xcd, 0x00)
    .label("file known")
    .op("xchg %r11,%r15", 0x4d, 0x87, 0xdf) // r15: the file, r11: what it was started as
    // The library path: the last that the environment has, behind our own directory.
    .op("xor %ebp,%ebp", 0x31, 0xed)
    .op("xor %r8d,%r8d", 0x45, 0x31, 0xc0) // how many variables
    .label("next variable")
    .op("mov (%r14,%r8,8),%rax", 0x4b, 0x8b, 0x04, 0xc6)
    .op("test %rax,%rax", 0x48, 0x85, 0xc0)
    .to("je", "variables known")
    .op("inc %r8", 0x49, 0xff, 0xc0)
    .rip("lea name(%rip),%rsi", "path name", 0x48, 0x8d, 0x35)
    .op("mov %rax,%rdi", 0x48, 0x89, 0xc7)
    .to("call", "begins")
    .op("cmove %rdi,%rbp", 0x48, 0x0f, 0x44, 0xef)
    .to("jmp", "next variable")
    .label("variables known")
    .rip("lea path(%rip),%rdi", "own path", 0x48, 0x8d, 0x3d)
    .to("call", "length")
    .op("mov %rax,%r9", 0x49, 0x89, 0xc1)
    .op("xor %r10d,%r10d", 0x45, 0x31, 0xd2)
    .op("test %rbp,%rbp", 0x48, 0x85, 0xed)
    .to("je", "path measured")
    .op("mov %rbp,%rdi", 0x48, 0x89, 0xef)
    .to("call", "length")
    .op("mov %rax,%r10", 0x49, 0x89, 0xc2)
    .label("path measured")
    .op("lea 0x20(%r9,%r10,1),%rax", 0x4b, 0x8d, 0x44, 0x11, 0x20) // a colon and a NUL, too
    .op("and $0xfffffffffffffff0,%rax", 0x48, 0x83, 0xe0, 0xf0)
    .op("sub %rax,%rsp", 0x48, 0x29, 0xc4)
    .op("mov %rsp,%rdi", 0x48, 0x89, 0xe7)
    .op("mov %rsp,%rbx", 0x48, 0x89, 0xe3) // rbx: the library path
    .rip("lea path(%rip),%rsi", "own path", 0x48, 0x8d, 0x35)
    .op("mov %r9,%rcx", 0x4c, 0x89, 0xc9)
    .op("rep movsb %ds:(%rsi),%es:(%rdi)", 0xf3, 0xa4)
    .op("test %r10,%r10", 0x4d, 0x85, 0xd2)
    .to("je", "path ends")
    .op("movb $0x3a,(%rdi)", 0xc6, 0x07, 0x3a)
    .op("inc %rdi", 0x48, 0xff, 0xc7)
    .op("mov %rbp,%rsi", 0x48, 0x89, 0xee)
    .op("mov %r10,%rcx", 0x4c, 0x89, 0xd1)
    .op("rep movsb %ds:(%rsi),%es:(%rdi)", 0xf3, 0xa4)
    .label("path ends")
    .op("movb $0x0,(%rdi)", 0xc6, 0x07, 0x00);
  // What it was started as, and is called if the ld.so cannot be told, for more variables.
  to.op("mov %r11,%rbp", 0x4c, 0x89, 0xdd);
  emitVariable(to, "started name");
  to.op("mov %rsp,%r11", 0x49, 0x89, 0xe3); // r11: that variable
  if (!targets.takesArgv0) {
    to.op("mov 0x0(%r13),%rbp", 0x49, 0x8b, 0x6d, 0x00)
      .op("test %rbp,%rbp", 0x48, 0x85, 0xed)
      .op("cmove %r15,%rbp", 0x49, 0x0f, 0x44, 0xef);
    emitVariable(to, "called name");
    to.op("mov %rsp,%r9", 0x49, 0x89, 0xe1); // r9: the other
  }
  // The environment, with these variables in front; where its character sets are unless that is there.
  to.op("lea 0x40(,%r8,8),%rax", 0x4a, 0x8d, 0x04, 0xc5, 0x40, 0x00, 0x00, 0x00)
    .op("and $0xfffffffffffffff0,%rax", 0x48, 0x83, 0xe0, 0xf0)
    .op("sub %rax,%rsp", 0x48, 0x29, 0xc4)
    .op("mov %rsp,%rdi", 0x48, 0x89, 0xe7)
    .op("mov %rsp,%rbp", 0x48, 0x89, 0xe5) // rbp: the environment
    .op("mov %r11,%rax", 0x4c, 0x89, 0xd8)
    .op("stos %rax,%es:(%rdi)", 0x48, 0xab);
  if (!targets.takesArgv0) to.op("mov %r9,%rax", 0x4c, 0x89, 0xc8).op("stos %rax,%es:(%rdi)", 0x48, 0xab);
  to.rip("lea sets(%rip),%rax", "sets", 0x48, 0x8d, 0x05)
    .op("cmpb $0x0,(%rax)", 0x80, 0x38, 0x00)
    .to("je", "copy variables")
    .op("xor %ecx,%ecx", 0x31, 0xc9)
    .label("look for sets")
    .op("mov (%r14,%rcx,8),%rax", 0x49, 0x8b, 0x04, 0xce)
    .op("test %rax,%rax", 0x48, 0x85, 0xc0)
    .to("je", "add sets")
    .op("inc %rcx", 0x48, 0xff, 0xc1)
    .op("push %rdi", 0x57)
    .op("mov %rax,%rdi", 0x48, 0x89, 0xc7)
    .rip("lea name(%rip),%rsi", "sets name", 0x48, 0x8d, 0x35)
    .to("call", "begins")
    .op("pop %rdi", 0x5f)
    .to("je", "copy variables")
    .to("jmp", "look for sets")
    .label("add sets")
    .rip("lea sets(%rip),%rax", "sets", 0x48, 0x8d, 0x05)
    .op("stos %rax,%es:(%rdi)", 0x48, 0xab)
    .label("copy variables")
    .op("mov %r14,%rsi", 0x4c, 0x89, 0xf6)
    .op("lea 0x1(%r8),%rcx", 0x49, 0x8d, 0x48, 0x01)
    .op("rep movsq %ds:(%rsi),%es:(%rdi)", 0xf3, 0x48, 0xa5)
    // The arguments: the ld.so's own, the program, and its.
    .op("lea 0x60(,%r12,8),%rax", 0x4a, 0x8d, 0x04, 0xe5, 0x60, 0x00, 0x00, 0x00)
    .op("and $0xfffffffffffffff0,%rax", 0x48, 0x83, 0xe0, 0xf0)
    .op("sub %rax,%rsp", 0x48, 0x29, 0xc4)
    .op("mov %rsp,%rdi", 0x48, 0x89, 0xe7)
    .rip("lea loader(%rip),%rax", "loader", 0x48, 0x8d, 0x05)
    .op("stos %rax,%es:(%rdi)", 0x48, 0xab);
  if (targets.takesArgv0) {
    to.rip("lea name(%rip),%rax", "option name", 0x48, 0x8d, 0x05)
      .op("stos %rax,%es:(%rdi)", 0x48, 0xab)
      .op("mov 0x0(%r13),%rax", 0x49, 0x8b, 0x45, 0x00)
      .op("test %rax,%rax", 0x48, 0x85, 0xc0)
      .op("cmove %r15,%rax", 0x49, 0x0f, 0x44, 0xc7)
      .op("stos %rax,%es:(%rdi)", 0x48, 0xab);
  }
  to.rip("lea path(%rip),%rax", "option path", 0x48, 0x8d, 0x05)
    .op("stos %rax,%es:(%rdi)", 0x48, 0xab)
    .op("mov %rbx,%rax", 0x48, 0x89, 0xd8)
    .op("stos %rax,%es:(%rdi)", 0x48, 0xab)
    .rip("lea preload(%rip),%rax", "option preload", 0x48, 0x8d, 0x05)
    .op("stos %rax,%es:(%rdi)", 0x48, 0xab)
    .rip("lea identity(%rip),%rax", "identity", 0x48, 0x8d, 0x05)
    .op("stos %rax,%es:(%rdi)", 0x48, 0xab)
    .op("mov %r15,%rax", 0x4c, 0x89, 0xf8)
    .op("stos %rax,%es:(%rdi)", 0x48, 0xab)
    .op("lea 0x8(%r13),%rsi", 0x49, 0x8d, 0x75, 0x08)
    .op("mov %r12,%rcx", 0x4c, 0x89, 0xe1)
    .op("test %rcx,%rcx", 0x48, 0x85, 0xc9)
    .to("jne", "copy arguments")
    .op("sub $0x8,%rsi", 0x48, 0x83, 0xee, 0x08)
    .op("inc %rcx", 0x48, 0xff, 0xc1)
    .label("copy arguments")
    .op("rep movsq %ds:(%rsi),%es:(%rdi)", 0xf3, 0x48, 0xa5)
    .rip("lea loader(%rip),%rdi", "loader", 0x48, 0x8d, 0x3d)
    .op("mov %rsp,%rsi", 0x48, 0x89, 0xe6)
    .op("mov %rbp,%rdx", 0x48, 0x89, 0xea)
    .op("mov $0x3b,%eax", 0xb8, 0x3b, 0x00, 0x00, 0x00)
    .op("syscall # execve", 0x0f, 0x05)
    .op("mov $0x2,%edi", 0xbf, 0x02, 0x00, 0x00, 0x00)
    .rip("lea complaint(%rip),%rsi", "complaint", 0x48, 0x8d, 0x35)
    .rip("mov size(%rip),%rdx", "complaint size", 0x48, 0x8b, 0x15)
    .op("mov $0x1,%eax", 0xb8, 0x01, 0x00, 0x00, 0x00)
    .op("syscall # write", 0x0f, 0x05)
    .op("mov $0x7d,%edi", 0xbf, 0x7d, 0x00, 0x00, 0x00)
    .op("mov $0xe7,%eax", 0xb8, 0xe7, 0x00, 0x00, 0x00)
    .op("syscall # exit_group", 0x0f, 0x05)
    .op("hlt", 0xf4)
    .label("static")
    .op("mov $0x2,%edi", 0xbf, 0x02, 0x00, 0x00, 0x00)
    .rip("lea complaint(%rip),%rsi", "static complaint", 0x48, 0x8d, 0x35)
    .rip("mov size(%rip),%rdx", "static size", 0x48, 0x8b, 0x15)
    .op("mov $0x1,%eax", 0xb8, 0x01, 0x00, 0x00, 0x00)
    .op("syscall # write", 0x0f, 0x05)
    .op("mov $0x7d,%edi", 0xbf, 0x7d, 0x00, 0x00, 0x00)
    .op("mov $0xe7,%eax", 0xb8, 0xe7, 0x00, 0x00, 0x00)
    .op("syscall # exit_group", 0x0f, 0x05)
    .op("hlt", 0xf4)
    // How long is the text at rdi?
    .label("length")
    .op("xor %eax,%eax", 0x31, 0xc0)
    .label("next byte")
    .op("cmpb $0x0,(%rdi,%rax,1)", 0x80, 0x3c, 0x07, 0x00)
    .to("je", "length done")
    .op("inc %rax", 0x48, 0xff, 0xc0)
    .to("jmp", "next byte")
    .label("length done")
    .op("ret", 0xc3);
  emitData(to, targets);
}

/**
 * `check`, for a stand-in of another library of glibc's: libc's comes with it, and starts the program over. Where the
 * program has a libc of its own, nothing would, and each call would lead nowhere. The quad at `anchor` is the address
 * of one of libc's functions, `nowhere` what a stand-in's are.
 */
export function emitCheck(to: Assembler, nowhere: number, complaint: string): void {
  const text = encoder.encode(complaint);
  to.label("check")
    .rip("mov anchor(%rip),%rax", "anchor", 0x48, 0x8b, 0x05)
    .op(`cmp $0x${nowhere.toString(16)},%rax`, 0x48, 0x83, 0xf8, nowhere)
    .to("jne", "two halves")
    .op("xor %eax,%eax", 0x31, 0xc0)
    .op("ret", 0xc3)
    .label("two halves")
    .op("mov $0x2,%edi", 0xbf, 0x02, 0x00, 0x00, 0x00)
    .rip("lea complaint(%rip),%rsi", "complaint", 0x48, 0x8d, 0x35)
    .rip("mov size(%rip),%rdx", "complaint size", 0x48, 0x8b, 0x15)
    .op("mov $0x1,%eax", 0xb8, 0x01, 0x00, 0x00, 0x00)
    .op("syscall # write", 0x0f, 0x05)
    .op("mov $0x7d,%edi", 0xbf, 0x7d, 0x00, 0x00, 0x00)
    .op("mov $0xe7,%eax", 0xb8, 0xe7, 0x00, 0x00, 0x00)
    .op("syscall # exit_group", 0x0f, 0x05)
    .op("hlt", 0xf4);
  to.label("complaint").data(text).align(8).label("complaint size").quad(text.length);
}

/**
 * Builds a variable on the stack, where rsp points at it then: `name`, a label, and what rbp points at. Changes r9 and
 * r10.
 */
function emitVariable(to: Assembler, name: string): void {
  to.rip("lea name(%rip),%rdi", name, 0x48, 0x8d, 0x3d)
    .to("call", "length")
    .op("mov %rax,%r9", 0x49, 0x89, 0xc1)
    .op("mov %rbp,%rdi", 0x48, 0x89, 0xef)
    .to("call", "length")
    .op("mov %rax,%r10", 0x49, 0x89, 0xc2)
    .op("lea 0x20(%r9,%r10,1),%rax", 0x4b, 0x8d, 0x44, 0x11, 0x20)
    .op("and $0xfffffffffffffff0,%rax", 0x48, 0x83, 0xe0, 0xf0)
    .op("sub %rax,%rsp", 0x48, 0x29, 0xc4)
    .op("mov %rsp,%rdi", 0x48, 0x89, 0xe7)
    .rip("lea name(%rip),%rsi", name, 0x48, 0x8d, 0x35)
    .op("mov %r9,%rcx", 0x4c, 0x89, 0xc9)
    .op("rep movsb %ds:(%rsi),%es:(%rdi)", 0xf3, 0xa4)
    .op("mov %rbp,%rsi", 0x48, 0x89, 0xee)
    .op("lea 0x1(%r10),%rcx", 0x49, 0x8d, 0x4a, 0x01)
    .op("rep movsb %ds:(%rsi),%es:(%rdi)", 0xf3, 0xa4);
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
