// What a program learns of the objects that are loaded: the program comes first and
// has no name, as natively, Bun is not there, nor is anything of ours, and the
// capsules' objects are. glibc itself shows a caller its own namespace only.

import type { Address } from "../../../lib/memory/numbers.ts";
import type { Assembler } from "../../../lib/x86-64/assembler.ts";
import { Record } from "../record.ts";

const encoder = new TextEncoder();

export interface ObjectTargets {
  readonly dladdr: Address;
  readonly dladdr1: Address;
  readonly dlinfo: Address;
  readonly dl_iterate_phdr: Address;
  /** The private directory. */
  readonly directory: string;
  /** The l_name of another object of ours, which is elsewhere. */
  readonly ownName: Address;
  /** Links in there, as paths from there: what they lead to is shown. */
  readonly links?: readonly string[];
  /** The program's l_name from before its constructors on. */
  readonly programName: Address;
  /** Where the Record is. */
  readonly record: Address;
  /** Bun's link_map, which dlopen(NULL) gives as a handle. */
  readonly first: Address;
  /** For each capsule the address of its `iterate here`, NULL behind the last. */
  readonly iterators: Address;
}

/**
 * `dladdr` and `dladdr1` call the program by argv[0], as glibc does. `dlinfo` tells of the program where Bun is asked
 * for. `dl_iterate_phdr` goes through the base namespace twice, for the program and for the others, then through the
 * capsules.
 */
export function emitObjectFunctions(to: Assembler, targets: ObjectTargets): void {
  to.label("dladdr")
    .op("push %rsi", 0x56)
    .rip("call *dladdr(%rip)", "real dladdr", 0xff, 0x15)
    .op("pop %rsi", 0x5e)
    .to("jmp", "name found")
    .label("dladdr1")
    .op("push %rsi", 0x56)
    .rip("call *dladdr1(%rip)", "real dladdr1", 0xff, 0x15)
    .op("pop %rsi", 0x5e)
    .label("name found")
    .op("test %eax,%eax", 0x85, 0xc0)
    .to("je", "named")
    .rip("mov name(%rip),%r10", "program name", 0x4c, 0x8b, 0x15)
    .op("cmp %r10,(%rsi)", 0x4c, 0x39, 0x16)
    .to("jne", "named")
    .rip("mov record(%rip),%r10", "object record", 0x4c, 0x8b, 0x15)
    .op("mov 0x8(%r10),%r10", 0x4d, 0x8b, 0x52, Record.offsetOf.argv)
    .op("mov (%r10),%r10", 0x4d, 0x8b, 0x12)
    .op("mov %r10,(%rsi)", 0x4c, 0x89, 0x16)
    .label("named")
    .op("ret", 0xc3)
    .label("dlinfo")
    .rip("cmp first(%rip),%rdi", "first", 0x48, 0x3b, 0x3d)
    .to("jne", "other object")
    .rip("mov record(%rip),%rax", "object record", 0x48, 0x8b, 0x05)
    .op("mov 0x18(%rax),%rdi", 0x48, 0x8b, 0x78, Record.offsetOf.program)
    .label("other object")
    .rip("jmp *dlinfo(%rip)", "real dlinfo", 0xff, 0x25);
  // (callback, data); on the stack: both, and which round it is
  to.label("dl_iterate_phdr")
    .op("push %rbx", 0x53)
    .op("sub $0x20,%rsp", 0x48, 0x83, 0xec, 0x20)
    .op("mov %rdi,(%rsp)", 0x48, 0x89, 0x3c, 0x24)
    .op("mov %rsi,0x8(%rsp)", 0x48, 0x89, 0x74, 0x24, 0x08)
    .op("movq $0x0,0x10(%rsp)", 0x48, 0xc7, 0x44, 0x24, 0x10, 0x00, 0x00, 0x00, 0x00)
    .rip("lea object(%rip),%rdi", "each object", 0x48, 0x8d, 0x3d)
    .op("mov %rsp,%rsi", 0x48, 0x89, 0xe6)
    .rip("call *real(%rip)", "real dl_iterate_phdr", 0xff, 0x15)
    .op("test %eax,%eax", 0x85, 0xc0)
    .to("jne", "iterated")
    .op("movq $0x1,0x10(%rsp)", 0x48, 0xc7, 0x44, 0x24, 0x10, 0x01, 0x00, 0x00, 0x00)
    .rip("lea object(%rip),%rdi", "each object", 0x48, 0x8d, 0x3d)
    .op("mov %rsp,%rsi", 0x48, 0x89, 0xe6)
    .rip("call *real(%rip)", "real dl_iterate_phdr", 0xff, 0x15)
    .rip("mov iterators(%rip),%rbx", "iterators", 0x48, 0x8b, 0x1d)
    .label("next capsule")
    .op("test %eax,%eax", 0x85, 0xc0)
    .to("jne", "iterated")
    .op("mov (%rbx),%r11", 0x4c, 0x8b, 0x1b)
    .op("test %r11,%r11", 0x4d, 0x85, 0xdb)
    .to("je", "iterated")
    .op("add $0x8,%rbx", 0x48, 0x83, 0xc3, 0x08)
    .rip("lea object(%rip),%rdi", "each object", 0x48, 0x8d, 0x3d)
    .op("mov %rsp,%rsi", 0x48, 0x89, 0xe6)
    .op("call *%r11", 0x41, 0xff, 0xd3)
    .to("jmp", "next capsule")
    .label("iterated")
    .op("add $0x20,%rsp", 0x48, 0x83, 0xc4, 0x20)
    .op("pop %rbx", 0x5b)
    .op("ret", 0xc3);
  // (info, size, what dl_iterate_phdr has on its stack)
  to.label("each object")
    .op("mov 0x8(%rdi),%rax", 0x48, 0x8b, 0x47, 0x08)
    .rip("cmp name(%rip),%rax", "program name", 0x48, 0x3b, 0x05)
    .to("je", "program object")
    .op("cmpq $0x0,0x10(%rdx)", 0x48, 0x83, 0x7a, 0x10, 0x00)
    .to("je", "passed over")
    .op("cmpb $0x0,(%rax)", 0x80, 0x38, 0x00)
    .to("je", "passed over")
    .rip("cmp own(%rip),%rax", "own name", 0x48, 0x3b, 0x05)
    .to("je", "passed over")
    .rip("lea private(%rip),%r10", "private", 0x4c, 0x8d, 0x15)
    .to("call", "match")
    .to("jne", "shown")
    .op("mov %rax,%r8", 0x49, 0x89, 0xc0)
    .rip("lea links(%rip),%r10", "links", 0x4c, 0x8d, 0x15)
    .label("next link")
    .op("cmpb $0x0,(%r10)", 0x41, 0x80, 0x3a, 0x00)
    .to("je", "passed over")
    .op("mov %r8,%rax", 0x4c, 0x89, 0xc0)
    .to("call", "match")
    .to("jne", "other link")
    .op("cmpb $0x0,(%rax)", 0x80, 0x38, 0x00)
    .to("je", "shown")
    .label("other link")
    .op("cmpb $0x0,(%r10)", 0x41, 0x80, 0x3a, 0x00)
    .op("lea 0x1(%r10),%r10", 0x4d, 0x8d, 0x52, 0x01)
    .to("jne", "other link")
    .to("jmp", "next link")
    .label("shown")
    .op("mov 0x8(%rdx),%rcx", 0x48, 0x8b, 0x4a, 0x08)
    .op("mov (%rdx),%r11", 0x4c, 0x8b, 0x1a)
    .op("mov %rcx,%rdx", 0x48, 0x89, 0xca)
    .op("jmp *%r11", 0x41, 0xff, 0xe3)
    .label("program object")
    .op("cmpq $0x0,0x10(%rdx)", 0x48, 0x83, 0x7a, 0x10, 0x00)
    .to("jne", "passed over")
    .op("mov 0x8(%rdx),%r8", 0x4c, 0x8b, 0x42, 0x08)
    .op("mov (%rdx),%r11", 0x4c, 0x8b, 0x1a)
    .op("mov %rsi,%rcx", 0x48, 0x89, 0xf1)
    .op("mov %rdi,%r9", 0x49, 0x89, 0xf9)
    .op("mov %rsi,%rax", 0x48, 0x89, 0xf0)
    .op("sub $0x88,%rsp", 0x48, 0x81, 0xec, 0x88, 0x00, 0x00, 0x00)
    .op("cmp $0x80,%rcx", 0x48, 0x81, 0xf9, 0x80, 0x00, 0x00, 0x00)
    .to("ja", "too large")
    .op("mov %rdi,%rsi", 0x48, 0x89, 0xfe)
    .op("mov %rsp,%rdi", 0x48, 0x89, 0xe7)
    .op("rep movsb %ds:(%rsi),%es:(%rdi)", 0xf3, 0xa4)
    .rip("lea empty(%rip),%rcx", "empty", 0x48, 0x8d, 0x0d)
    .op("mov %rcx,0x8(%rsp)", 0x48, 0x89, 0x4c, 0x24, 0x08)
    .op("mov %rsp,%rdi", 0x48, 0x89, 0xe7)
    .op("mov %rax,%rsi", 0x48, 0x89, 0xc6)
    .op("mov %r8,%rdx", 0x4c, 0x89, 0xc2)
    .op("call *%r11", 0x41, 0xff, 0xd3)
    .op("add $0x88,%rsp", 0x48, 0x81, 0xc4, 0x88, 0x00, 0x00, 0x00)
    .op("ret", 0xc3)
    .label("too large")
    .op("add $0x88,%rsp", 0x48, 0x81, 0xc4, 0x88, 0x00, 0x00, 0x00)
    .op("mov %r9,%rdi", 0x4c, 0x89, 0xcf)
    .op("mov %rax,%rsi", 0x48, 0x89, 0xc6)
    .op("mov %r8,%rdx", 0x4c, 0x89, 0xc2)
    .op("jmp *%r11", 0x41, 0xff, 0xe3)
    .label("passed over")
    .op("xor %eax,%eax", 0x31, 0xc0)
    .op("ret", 0xc3);
  to.align(8);
  for (const name of ["dladdr", "dladdr1", "dlinfo", "dl_iterate_phdr"] as const)
    to.label(`real ${name}`).quad(targets[name]);
  to.label("program name")
    .quad(targets.programName)
    .label("own name")
    .quad(targets.ownName)
    .label("object record")
    .quad(targets.record)
    .label("first")
    .quad(targets.first)
    .label("iterators")
    .quad(targets.iterators)
    .label("empty")
    .data(Uint8Array.of(0))
    .label("private")
    .data(encoder.encode(`${targets.directory}/\0`))
    .label("links")
    .data(encoder.encode(`${(targets.links ?? []).map((name) => `${name}\0`).join("")}\0`));
}

/**
 * `iterate here` and `open here`: dl_iterate_phdr and dlopen as the namespace of this code sees them, to which the agent
 * belongs. dlmopen does not take RTLD_GLOBAL.
 */
export function emitHere(to: Assembler, real: Address): void {
  for (const [label, cell] of [
    ["iterate here", "dl_iterate_phdr address"],
    ["open here", "dlopen address"],
  ] as const)
    to.align(16)
      .label(label)
      .op("sub $0x8,%rsp", 0x48, 0x83, 0xec, 0x08)
      .rip("call *address(%rip)", cell, 0xff, 0x15)
      .op("add $0x8,%rsp", 0x48, 0x83, 0xc4, 0x08)
      .op("ret", 0xc3);
  to.align(8).label("dl_iterate_phdr address").quad(real);
}

/**
 * `iterate also` (callback, data): what the function at `before` shows, then what that one does whose address is at
 * `cell`, unless it is NULL.
 */
export function emitIterateAlso(to: Assembler, before: Address, cell: Address): void {
  to.label("iterate also")
    .op("push %rbx", 0x53)
    .op("push %r12", 0x41, 0x54)
    .op("sub $0x8,%rsp", 0x48, 0x83, 0xec, 0x08)
    .op("mov %rdi,%rbx", 0x48, 0x89, 0xfb)
    .op("mov %rsi,%r12", 0x49, 0x89, 0xf4)
    .rip("call *before(%rip)", "before", 0xff, 0x15)
    .op("test %eax,%eax", 0x85, 0xc0)
    .to("jne", "all shown")
    .rip("mov cell(%rip),%rdx", "cell", 0x48, 0x8b, 0x15)
    .op("mov (%rdx),%rdx", 0x48, 0x8b, 0x12)
    .op("test %rdx,%rdx", 0x48, 0x85, 0xd2)
    .to("je", "all shown")
    .op("mov %rbx,%rdi", 0x48, 0x89, 0xdf)
    .op("mov %r12,%rsi", 0x4c, 0x89, 0xe6)
    .op("call *%rdx", 0xff, 0xd2)
    .label("all shown")
    .op("add $0x8,%rsp", 0x48, 0x83, 0xc4, 0x08)
    .op("pop %r12", 0x41, 0x5c)
    .op("pop %rbx", 0x5b)
    .op("ret", 0xc3);
  to.align(8).label("before").quad(before).label("cell").quad(cell);
}
