// A process that was started by an ld.so's name is that ld.so, for the kernel. Where it
// asks who it is, it is told the program: functions that take a path stand in front of
// libc's, and take /proc/self/exe for the program's own file. They know libc's own by
// their distance from one of its functions, since they are for that one libc.

import { PAGE_SIZE } from "../../../lib/memory/numbers.ts";
import { Assembler, type Code } from "../../../lib/x86-64/assembler.ts";
import { emitPathFunctions } from "./paths.ts";
import { emitVectors } from "./vectors.ts";

/** As long as the kernel lets one be. */
const PATH_SIZE = 4096;

/** The labels of the function that ld.so calls first, and of the quads for __libc_stack_end and for the function of libc's. */
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

/** Keeps the program's path, and gives the process its name. */
export function emitIdentity(to: Assembler): void {
  to.label("identity")
    .op("push %rbx", 0x53)
    .op("push %rbp", 0x55)
    .op("push %r12", 0x41, 0x54)
    .op("push %r13", 0x41, 0x55)
    .op("push %r14", 0x41, 0x56)
    .op("push %r15", 0x41, 0x57)
    .to("call", "vectors")
    .rip("lea own_path(%rip),%rdi", "own path", 0x48, 0x8d, 0x3d)
    .op("mov %rdi,%rdx", 0x48, 0x89, 0xfa)
    .op("mov %r15,%rsi", 0x4c, 0x89, 0xfe)
    .op("mov $0xfff,%ecx", 0xb9, 0xff, 0x0f, 0x00, 0x00)
    .label("copy path")
    .op("mov (%rsi),%al", 0x8a, 0x06)
    .op("mov %al,(%rdi)", 0x88, 0x07)
    .op("test %al,%al", 0x84, 0xc0)
    .to("je", "path copied")
    .op("inc %rsi", 0x48, 0xff, 0xc6)
    .op("inc %rdi", 0x48, 0xff, 0xc7)
    .op("cmp $0x2f,%al", 0x3c, 0x2f)
    .op("cmove %rdi,%rdx", 0x48, 0x0f, 0x44, 0xd7) // behind the last slash: the name
    .op("dec %ecx", 0xff, 0xc9)
    .to("jne", "copy path")
    .op("movb $0x0,(%rdi)", 0xc6, 0x07, 0x00)
    .label("path copied")
    .rip("lea own_path(%rip),%rax", "own path", 0x48, 0x8d, 0x05)
    .op("sub %rax,%rdi", 0x48, 0x29, 0xc7)
    .rip("mov %rdi,own_length(%rip)", "own length", 0x48, 0x89, 0x3d)
    .op("mov %rdx,%rsi", 0x48, 0x89, 0xd6)
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
}
