// The end of the process: destructors in the order that ld.so would have, and the
// private directory.

import { DT_FINI, DT_FINI_ARRAY, DT_FINI_ARRAYSZ } from "../../../lib/elf/constants.ts";
import type { Address } from "../../../lib/memory/numbers.ts";
import { PROT_READ, PROT_WRITE } from "../../../lib/process/patch.ts";
import type { Assembler } from "../../../lib/x86-64/assembler.ts";
import { systemCall } from "./system-call.ts";

const encoder = new TextEncoder();

export interface ExitTargets {
  readonly pid: number;
  /** The private directory, and a NULL-ended list of pointers to the paths of the files in it. */
  readonly directory: string;
  readonly files: Address;
  /**
   * The program and its libraries in the order of their destructors: link_maps, NULL behind the last; before them the
   * one that is the last in ld.so's list of what the program started with. NULL there as long as the program has not
   * been loaded.
   */
  readonly order: Address;
}

/**
 * `cleanup`, which exit calls behind everything that the program has registered. It runs the destructors of the base
 * namespace: those of objects that came later (the last first), then those of the program and its libraries. ld.so
 * would run the capsules' before them, since it goes through the namespaces from the last to the first (2.31–2.41).
 * Then it unlinks the files and the directory, but not in a forked child.
 */
export function emitCleanup(to: Assembler, { pid, directory, files, order }: ExitTargets): void {
  to.label("cleanup");
  pushAll(to, CLEANUP_SAVES);
  to.label("cleanup later")
    .rip("mov order(%rip),%rbx", "order", 0x48, 0x8b, 0x1d)
    .op("mov (%rbx),%rdi", 0x48, 0x8b, 0x3b)
    .op("test %rdi,%rdi", 0x48, 0x85, 0xff)
    .to("je", "cleanup files")
    .label("cleanup last")
    .op("mov 0x18(%rdi),%rax", 0x48, 0x8b, 0x47, 0x18) // l_next
    .op("test %rax,%rax", 0x48, 0x85, 0xc0)
    .to("je", "cleanup back")
    .op("mov %rax,%rdi", 0x48, 0x89, 0xc7)
    .to("jmp", "cleanup last")
    .label("cleanup back")
    .op("cmp (%rbx),%rdi", 0x48, 0x3b, 0x3b)
    .to("je", "cleanup order")
    .op("mov %rdi,%r12", 0x49, 0x89, 0xfc)
    .to("call", "finish")
    // A destructor may close libraries, so the list is walked anew behind each.
    .op("test %eax,%eax", 0x85, 0xc0)
    .to("jne", "cleanup later")
    .op("mov 0x20(%r12),%rdi", 0x49, 0x8b, 0x7c, 0x24, 0x20) // l_prev
    .to("jmp", "cleanup back")
    .label("cleanup order")
    .op("add $0x8,%rbx", 0x48, 0x83, 0xc3, 0x08)
    .op("mov (%rbx),%rdi", 0x48, 0x8b, 0x3b)
    .op("test %rdi,%rdi", 0x48, 0x85, 0xff)
    .to("je", "cleanup files")
    .to("call", "finish")
    .to("jmp", "cleanup order")
    .label("cleanup files");
  systemCall(to, "getpid", 39);
  to.rip("cmp pid(%rip),%eax", "pid", 0x3b, 0x05).to("jne", "cleanup done");
  // The second time for a directory among them, which is empty by then.
  forEachFile(to, "cleanup unlink", "unlink", 87);
  forEachFile(to, "cleanup rmdir", "rmdir", 84);
  to.rip("lea directory(%rip),%rdi", "directory", 0x48, 0x8d, 0x3d);
  systemCall(to, "rmdir", 84);
  to.label("cleanup done");
  popAll(to, CLEANUP_SAVES);
  to.op("ret", 0xc3);
  emitFinish(to);
  to.align(8)
    .label("pid")
    .quad(pid)
    .label("files")
    .quad(files)
    .label("order")
    .quad(order)
    .label("directory")
    .data(encoder.encode(`${directory}\0`));
}

/** Makes a system call with the path of each file in the list. */
function forEachFile(to: Assembler, label: string, name: string, number: number): void {
  to.rip("mov files(%rip),%rbx", "files", 0x48, 0x8b, 0x1d)
    .label(label)
    .op("mov (%rbx),%rdi", 0x48, 0x8b, 0x3b)
    .op("test %rdi,%rdi", 0x48, 0x85, 0xff)
    .to("je", `${label} done`);
  systemCall(to, name, number);
  to.op("add $0x8,%rbx", 0x48, 0x83, 0xc3, 0x08).to("jmp", label).label(`${label} done`);
}

/**
 * `finish`: runs the destructors of the object whose link_map is in rdi, DT_FINI_ARRAY backwards and then DT_FINI, and
 * has its dynamic section say before that there are none, as ld.so comes by again. Returns 1 if there were some, else
 * 0.
 */
function emitFinish(to: Assembler): void {
  to.label("finish");
  pushAll(to, FINISH_SAVES);
  // r12: l_addr, r13: the array, r14: its size, r15: the function; rsi and r8: the entries of size and function
  to.op("mov (%rdi),%r12", 0x4c, 0x8b, 0x27)
    .op("mov 0x10(%rdi),%rdi", 0x48, 0x8b, 0x7f, 0x10) // l_ld
    .op("mov %rdi,%rdx", 0x48, 0x89, 0xfa)
    .op("xor %r13d,%r13d", 0x45, 0x31, 0xed)
    .op("xor %r14d,%r14d", 0x45, 0x31, 0xf6)
    .op("xor %r15d,%r15d", 0x45, 0x31, 0xff)
    .op("xor %esi,%esi", 0x31, 0xf6)
    .op("xor %r8d,%r8d", 0x45, 0x31, 0xc0)
    .label("finish tag")
    .op("mov (%rdx),%rax", 0x48, 0x8b, 0x02)
    .op("mov 0x8(%rdx),%rcx", 0x48, 0x8b, 0x4a, 0x08)
    .op(`cmp $0x${DT_FINI_ARRAY.toString(16)},%rax`, 0x48, 0x83, 0xf8, DT_FINI_ARRAY)
    .op("cmove %rcx,%r13", 0x4c, 0x0f, 0x44, 0xe9)
    .op(`cmp $0x${DT_FINI_ARRAYSZ.toString(16)},%rax`, 0x48, 0x83, 0xf8, DT_FINI_ARRAYSZ)
    .op("cmove %rcx,%r14", 0x4c, 0x0f, 0x44, 0xf1)
    .op("cmove %rdx,%rsi", 0x48, 0x0f, 0x44, 0xf2)
    .op(`cmp $0x${DT_FINI.toString(16)},%rax`, 0x48, 0x83, 0xf8, DT_FINI)
    .op("cmove %rcx,%r15", 0x4c, 0x0f, 0x44, 0xf9)
    .op("cmove %rdx,%r8", 0x4c, 0x0f, 0x44, 0xc2)
    .op("add $0x10,%rdx", 0x48, 0x83, 0xc2, 0x10)
    .op("test %rax,%rax", 0x48, 0x85, 0xc0)
    .to("jne", "finish tag")
    // r9: a function that does nothing, as DT_FINI would say it; what has it is finished
    .rip("lea nothing(%rip),%r9", "finish nothing", 0x4c, 0x8d, 0x0d)
    .op("sub %r12,%r9", 0x4d, 0x29, 0xe1)
    .op("xor %eax,%eax", 0x31, 0xc0)
    .op("cmp %r9,%r15", 0x4d, 0x39, 0xcf)
    .op("cmove %rax,%r15", 0x4c, 0x0f, 0x44, 0xf8)
    .op("mov %r14,%rax", 0x4c, 0x89, 0xf0)
    .op("or %r15,%rax", 0x4c, 0x09, 0xf8)
    .to("je", "finish done")
    // mprotect the dynamic section's pages, which are read-only by now (RELRO)
    .op("push %rsi", 0x56)
    .op("mov %rdx,%rsi", 0x48, 0x89, 0xd6)
    .op("and $0xfffffffffffff000,%rdi", 0x48, 0x81, 0xe7, 0x00, 0xf0, 0xff, 0xff)
    .op("sub %rdi,%rsi", 0x48, 0x29, 0xfe)
    .op("mov $0x3,%edx", 0xba, PROT_READ | PROT_WRITE, 0, 0, 0);
  systemCall(to, "mprotect", 10);
  to.op("pop %rsi", 0x5e)
    .op("test %rax,%rax", 0x48, 0x85, 0xc0)
    .op("mov $0x0,%eax", 0xb8, 0, 0, 0, 0)
    .to("jne", "finish done") // refused: ld.so will run them, behind the capsules' own
    .op("test %rsi,%rsi", 0x48, 0x85, 0xf6)
    .to("je", "finish no array")
    .op("movq $0x0,0x8(%rsi)", 0x48, 0xc7, 0x46, 0x08, 0, 0, 0, 0)
    .label("finish no array")
    .op("test %r8,%r8", 0x4d, 0x85, 0xc0)
    .to("je", "finish no function")
    .op("mov %r9,0x8(%r8)", 0x4d, 0x89, 0x48, 0x08)
    .label("finish no function")
    .op("shr $0x3,%r14", 0x49, 0xc1, 0xee, 0x03)
    .op("add %r12,%r13", 0x4d, 0x01, 0xe5)
    .label("finish array")
    .op("test %r14,%r14", 0x4d, 0x85, 0xf6)
    .to("je", "finish function")
    .op("dec %r14", 0x49, 0xff, 0xce)
    .op("call *0x0(%r13,%r14,8)", 0x43, 0xff, 0x54, 0xf5, 0x00)
    .to("jmp", "finish array")
    .label("finish function")
    .op("test %r15,%r15", 0x4d, 0x85, 0xff)
    .to("je", "finish all")
    .op("add %r12,%r15", 0x4d, 0x01, 0xe7)
    .op("call *%r15", 0x41, 0xff, 0xd7)
    .label("finish all")
    .op("mov $0x1,%eax", 0xb8, 1, 0, 0, 0)
    .label("finish done");
  popAll(to, FINISH_SAVES);
  to.label("finish nothing").op("ret", 0xc3);
}

type Register = readonly [name: string, push: readonly number[], pop: readonly number[]];
const RBX: Register = ["%rbx", [0x53], [0x5b]];
const R12: Register = ["%r12", [0x41, 0x54], [0x41, 0x5c]];
const R13: Register = ["%r13", [0x41, 0x55], [0x41, 0x5d]];
const R14: Register = ["%r14", [0x41, 0x56], [0x41, 0x5e]];
const R15: Register = ["%r15", [0x41, 0x57], [0x41, 0x5f]];
// An odd number each, so that what they call finds the stack aligned.
const CLEANUP_SAVES = [RBX, R12, R13];
const FINISH_SAVES = [RBX, R12, R13, R14, R15];

function pushAll(to: Assembler, registers: readonly Register[]): void {
  for (const [name, push] of registers) to.op(`push ${name}`, ...push);
}

function popAll(to: Assembler, registers: readonly Register[]): void {
  for (const [name, , pop] of registers.toReversed()) to.op(`pop ${name}`, ...pop);
}
