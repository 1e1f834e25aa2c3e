// A process that was started by an ld.so's name is that ld.so, for the kernel. Where it
// asks who it is, it is told the program: functions that take a path stand in front of
// libc's, and take /proc/self/exe for the program's own file. They know libc's own by
// their distance from one of its functions, since they are for that one libc.

import { PAGE_SIZE } from "../../../lib/memory/numbers.ts";
import { Assembler, type Code } from "../../../lib/x86-64/assembler.ts";
import { emitPathFunctions } from "./paths.ts";
import { CALLED, emitVectors, STARTED_AS } from "./vectors.ts";

const encoder = new TextEncoder();

/** As long as the kernel lets one be. */
const PATH_SIZE = 4096;

/**
 * The labels of the function that ld.so calls first, and of the quads for __libc_stack_end and for the function of
 * libc's.
 */
export const IDENTITY = { resolver: "identity", stackEnd: "stack end", anchor: "anchor" } as const;

export interface IdentityCode {
  readonly code: Code;
  readonly dataAt: number;
  /** The functions, each at a label of its name. */
  readonly names: readonly string[];
}

/** `distanceOf` says how far libc's function of a name is behind the anchor, if it has one. */
export function identityCode(distanceOf: (name: string) => number | undefined): IdentityCode {
  const to = new Assembler();
  emitVectors(to);
  emitIdentity(to);
  const names = emitPathFunctions(to, {
    ...{ program: undefined, hasTree: false, isHosted: true },
    find: { anchor: IDENTITY.anchor, distanceOf },
  });
  to.align(PAGE_SIZE);
  const dataAt = to.length;
  for (const label of [IDENTITY.stackEnd, IDENTITY.anchor, "own length"]) to.label(label).quad(0);
  to.label("own path").data(new Uint8Array(PATH_SIZE));
  return { code: to.assemble(), dataAt, names };
}

/** Keeps the program's path, and has the process say what it was started as. */
export function emitIdentity(to: Assembler): void {
  to.label("identity")
    .op("push %rbx", 0x53)
    .op("push %rbp", 0x55)
    .op("push %r12", 0x41, 0x54)
    .op("push %r13", 0x41, 0x55)
    .op("push %r14", 0x41, 0x56)
    .op("push %r15", 0x41, 0x57)
    .to("call", "vectors")
    // What it was started as is told by a variable, which goes; else it is its file.
    .op("mov %r15,%r11", 0x4d, 0x89, 0xfb)
    .op("mov %r14,%rbx", 0x4c, 0x89, 0xf3)
    .label("next variable")
    .op("mov (%rbx),%rdi", 0x48, 0x8b, 0x3b)
    .op("test %rdi,%rdi", 0x48, 0x85, 0xff)
    .to("je", "started known")
    .rip("lea name(%rip),%rsi", "started name", 0x48, 0x8d, 0x35)
    .to("call", "begins")
    .to("je", "started found")
    .op("mov (%rbx),%rdi", 0x48, 0x8b, 0x3b)
    .rip("lea name(%rip),%rsi", "called name", 0x48, 0x8d, 0x35)
    .to("call", "begins")
    .to("je", "called found")
    .op("add $0x8,%rbx", 0x48, 0x83, 0xc3, 0x08)
    .to("jmp", "next variable")
    .label("started found")
    .op("mov %rdi,%r11", 0x49, 0x89, 0xfb)
    .op("mov %rdi,(%r10)", 0x49, 0x89, 0x3a)
    .to("jmp", "remove variable")
    // Its first argument is its path there, which was all that the ld.so could be told.
    .label("called found")
    .op("mov %r13,%rcx", 0x4c, 0x89, 0xe9)
    .label("next argument")
    .op("mov (%rcx),%rax", 0x48, 0x8b, 0x01)
    .op("test %rax,%rax", 0x48, 0x85, 0xc0)
    .to("je", "remove variable")
    .op("cmp %r15,%rax", 0x4c, 0x39, 0xf8)
    .to("je", "first argument")
    .op("add $0x8,%rcx", 0x48, 0x83, 0xc1, 0x08)
    .to("jmp", "next argument")
    .label("first argument")
    .op("mov %rdi,(%rcx)", 0x48, 0x89, 0x39)
    .label("remove variable")
    .op("mov %rbx,%rcx", 0x48, 0x89, 0xd9)
    .label("next behind")
    .op("mov 0x8(%rcx),%rax", 0x48, 0x8b, 0x41, 0x08)
    .op("mov %rax,(%rcx)", 0x48, 0x89, 0x01)
    .op("add $0x8,%rcx", 0x48, 0x83, 0xc1, 0x08)
    .op("test %rax,%rax", 0x48, 0x85, 0xc0)
    .to("jne", "next behind")
    .to("jmp", "next variable")
    .label("started known")
    .rip("lea path(%rip),%rdi", "own path", 0x48, 0x8d, 0x3d)
    .op("mov %r15,%rsi", 0x4c, 0x89, 0xfe)
    .op("mov $0xfff,%ecx", 0xb9, 0xff, 0x0f, 0x00, 0x00)
    .label("copy path")
    .op("mov (%rsi),%al", 0x8a, 0x06)
    .op("mov %al,(%rdi)", 0x88, 0x07)
    .op("test %al,%al", 0x84, 0xc0)
    .to("je", "path copied")
    .op("inc %rsi", 0x48, 0xff, 0xc6)
    .op("inc %rdi", 0x48, 0xff, 0xc7)
    .op("dec %ecx", 0xff, 0xc9)
    .to("jne", "copy path")
    .op("movb $0x0,(%rdi)", 0xc6, 0x07, 0x00)
    .label("path copied")
    .rip("lea path(%rip),%rax", "own path", 0x48, 0x8d, 0x05)
    .op("sub %rax,%rdi", 0x48, 0x29, 0xc7)
    .rip("mov %rdi,length(%rip)", "own length", 0x48, 0x89, 0x3d)
    // The process's name is what is behind the last slash.
    .op("mov %r11,%rsi", 0x4c, 0x89, 0xde)
    .label("name begins")
    .op("mov %r11,%rsi", 0x4c, 0x89, 0xde)
    .label("next byte")
    .op("mov (%r11),%al", 0x41, 0x8a, 0x03)
    .op("test %al,%al", 0x84, 0xc0)
    .to("je", "name known")
    .op("inc %r11", 0x49, 0xff, 0xc3)
    .op("cmp $0x2f,%al", 0x3c, 0x2f)
    .to("je", "name begins")
    .to("jmp", "next byte")
    .label("name known")
    .op("mov $0xf,%edi", 0xbf, 0x0f, 0x00, 0x00, 0x00) // PR_SET_NAME
    .op("mov $0x9d,%eax", 0xb8, 0x9d, 0x00, 0x00, 0x00)
    .op("syscall # prctl", 0x0f, 0x05)
    .op("pop %r15", 0x41, 0x5f)
    .op("pop %r14", 0x41, 0x5e)
    .op("pop %r13", 0x41, 0x5d)
    .op("pop %r12", 0x41, 0x5c)
    .op("pop %rbp", 0x5d)
    .op("pop %rbx", 0x5b)
    .op("xor %eax,%eax", 0x31, 0xc0)
    .op("ret", 0xc3);
  to.label("started name").data(encoder.encode(`${STARTED_AS}\0`));
  to.label("called name").data(encoder.encode(`${CALLED}\0`));
}
