// What the kernel has put on a process's stack, for code that runs before libc does:
// it is called by ld.so when it relocates the object that it is in.

import type { Assembler } from "../../../lib/x86-64/assembler.ts";

/**
 * `vectors`: leaves in r12 how many arguments there are, in r13 and r14 where those and the environment begin, in r15
 * the path by which the program was started (AT_EXECFN), in r10 where that is said, in rbp where its ld.so is
 * (AT_BASE), 0 for an ld.so that was started by name. The quad at `stack end` is the address of __libc_stack_end.
 *
 * `begins`: has the text at rdi that at rsi in front? The answer is in ZF; then rdi is behind it. Changes rsi and dl,
 * too.
 */
export function emitVectors(to: Assembler): void {
  to.label("vectors")
    .rip("mov end(%rip),%rax", "stack end", 0x48, 0x8b, 0x05)
    .op("mov (%rax),%rbx", 0x48, 0x8b, 0x18)
    .op("mov (%rbx),%r12", 0x4c, 0x8b, 0x23)
    .op("lea 0x8(%rbx),%r13", 0x4c, 0x8d, 0x6b, 0x08)
    .op("lea 0x8(%r13,%r12,8),%r14", 0x4f, 0x8d, 0x74, 0xe5, 0x08)
    .op("mov %r14,%rax", 0x4c, 0x89, 0xf0)
    .label("past environment")
    .op("add $0x8,%rax", 0x48, 0x83, 0xc0, 0x08)
    .op("cmpq $0x0,-0x8(%rax)", 0x48, 0x83, 0x78, 0xf8, 0x00)
    .to("jne", "past environment")
    .op("xor %r15d,%r15d", 0x45, 0x31, 0xff)
    .op("xor %ebp,%ebp", 0x31, 0xed)
    .label("next auxiliary")
    .op("mov (%rax),%rcx", 0x48, 0x8b, 0x08)
    .op("mov 0x8(%rax),%rdx", 0x48, 0x8b, 0x50, 0x08)
    .op("lea 0x8(%rax),%rsi", 0x48, 0x8d, 0x70, 0x08)
    .op("cmp $0x1f,%rcx", 0x48, 0x83, 0xf9, 0x1f) // AT_EXECFN
    .op("cmove %rdx,%r15", 0x4c, 0x0f, 0x44, 0xfa)
    .op("cmove %rsi,%r10", 0x4c, 0x0f, 0x44, 0xd6)
    .op("cmp $0x7,%rcx", 0x48, 0x83, 0xf9, 0x07) // AT_BASE
    .op("cmove %rdx,%rbp", 0x48, 0x0f, 0x44, 0xea)
    .op("add $0x10,%rax", 0x48, 0x83, 0xc0, 0x10)
    .op("test %rcx,%rcx", 0x48, 0x85, 0xc9)
    .to("jne", "next auxiliary")
    .op("ret", 0xc3);
  to.label("begins")
    .op("mov (%rsi),%dl", 0x8a, 0x16)
    .op("test %dl,%dl", 0x84, 0xd2)
    .to("je", "begins done")
    .op("cmp %dl,(%rdi)", 0x38, 0x17)
    .to("jne", "begins done")
    .op("inc %rdi", 0x48, 0xff, 0xc7)
    .op("inc %rsi", 0x48, 0xff, 0xc6)
    .to("jmp", "begins")
    .label("begins done")
    .op("ret", 0xc3);
}

/** Of a variable by which a detour says what the program was started as. */
export const STARTED_AS = "CAPSULE_STARTED_AS=";
/** And argv[0], where the ld.so cannot be told that. */
export const CALLED = "CAPSULE_CALLED=";
