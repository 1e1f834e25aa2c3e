// The beginning of a start image: what a program's own process has to do itself, since
// nobody else is in it. Everything that can be known beforehand is in the image already;
// what is left are calls of the objects' own code, in order, and what the kernel has to be
// asked for in the process: the thread pointer, and protections.

import { cString } from "../memory/live.ts";
import type { Address } from "../memory/numbers.ts";
import { type Assembler, immediate } from "../x86-64/assembler.ts";
import { emitEnterProgram, emitReturnHandler } from "./enter-code.ts";

/** A slot whose value is what a resolver returns, and more. */
export interface ResolvedSlot {
  readonly at: Address;
  readonly resolver: Address;
  readonly addend: number;
}

export interface StartTables {
  /** Other values in the auxiliary vector that the kernel gives, by type. */
  readonly auxiliary: ReadonlyMap<number, bigint>;
  /** What the thread pointer is to be; undefined where nobody has thread-local data. */
  readonly threadPointer: Address | undefined;
  readonly resolved: readonly ResolvedSlot[];
  /** Pages to be protected when all is relocated. */
  readonly protected: readonly { readonly start: Address; readonly length: number; readonly protection: number }[];
  /** Called with argc, argv and envp, in this order. */
  readonly initializers: readonly Address[];
  readonly entry: Address;
  /** Of the process, as ps shows it; 15 bytes count. The kernel names it by the file that it starts, which is this image. */
  readonly name: string;
  /** Called without arguments, in this order. */
  readonly finalizers: readonly Address[];
  /** Where EntryState is, in writable memory. */
  readonly state: Address;
}

const SYS = { mprotect: 10, prctl: 157, arch_prctl: 158, exit_group: 231 } as const;
const PR_SET_NAME = 15;
const ARCH_SET_FS = 0x1002;

/** `start`: the image's entry. When the program returns, its process ends with exit code 0. */
export function emitStart(to: Assembler, tables: StartTables): void {
  const call = (name: keyof typeof SYS) =>
    to.op(`mov $0x${SYS[name].toString(16)},%eax`, 0xb8, ...immediate(SYS[name])).op(`syscall # ${name}`, 0x0f, 0x05);
  // r12: the context, r13: argv, r14: envp; ebp: how many are left of a table, which r15 goes through
  to.label("start")
    .op("mov %rsp,%r12", 0x49, 0x89, 0xe4)
    .op("lea 0x8(%rsp),%r13", 0x4c, 0x8d, 0x6c, 0x24, 0x08)
    .op("mov (%rsp),%rax", 0x48, 0x8b, 0x04, 0x24)
    .op("lea 0x8(%r13,%rax,8),%r14", 0x4d, 0x8d, 0x74, 0xc5, 0x08);
  tellAuxiliary(to, tables.auxiliary.size);
  to.op(`mov $0x${PR_SET_NAME.toString(16)},%edi`, 0xbf, ...immediate(PR_SET_NAME)).rip(
    "lea name(%rip),%rsi",
    "process name",
    ...[0x48, 0x8d, 0x35],
  );
  call("prctl");
  if (tables.threadPointer !== undefined) {
    to.op(`mov $0x${ARCH_SET_FS.toString(16)},%edi`, 0xbf, ...immediate(ARCH_SET_FS)).rip(
      "mov pointer(%rip),%rsi",
      "thread pointer",
      0x48,
      0x8b,
      0x35,
    );
    call("arch_prctl");
  }
  eachOf(to, "resolved", 3, tables.resolved.length, () =>
    to
      .op("call *0x8(%r15)", 0x41, 0xff, 0x57, 0x08)
      .op("add 0x10(%r15),%rax", 0x49, 0x03, 0x47, 0x10)
      .op("mov (%r15),%rcx", 0x49, 0x8b, 0x0f)
      .op("mov %rax,(%rcx)", 0x48, 0x89, 0x01),
  );
  eachOf(to, "protected", 3, tables.protected.length, () => {
    to.op("mov (%r15),%rdi", 0x49, 0x8b, 0x3f)
      .op("mov 0x8(%r15),%rsi", 0x49, 0x8b, 0x77, 0x08)
      .op("mov 0x10(%r15),%rdx", 0x49, 0x8b, 0x57, 0x10);
    call("mprotect");
  });
  eachOf(to, "initializers", 1, tables.initializers.length, () =>
    to
      .op("mov (%r12),%rdi", 0x49, 0x8b, 0x3c, 0x24)
      .op("mov %r13,%rsi", 0x4c, 0x89, 0xee)
      .op("mov %r14,%rdx", 0x4c, 0x89, 0xf2)
      .op("call *(%r15)", 0x41, 0xff, 0x17),
  );
  to.rip("mov state(%rip),%rbx", "entry state", 0x48, 0x8b, 0x1d)
    .op("mov %rsp,(%rbx)", 0x48, 0x89, 0x23)
    .rip("mov entry(%rip),%r13", "program entry", 0x4c, 0x8b, 0x2d)
    .rip("lea finalizers(%rip),%r14", "run finalizers", 0x4c, 0x8d, 0x35);
  emitEnterProgram(to);
  to.to("call", "run finalizers").op("xor %edi,%edi", 0x31, 0xff);
  call("exit_group");
  // A program may register it by atexit(3), as rdx tells it; they run once.
  to.label("run finalizers")
    .rip("mov state(%rip),%rax", "entry state", 0x48, 0x8b, 0x05)
    .op("xor %ecx,%ecx", 0x31, 0xc9)
    .op("xchg %rcx,(%rax)", 0x48, 0x87, 0x08)
    .op("test %rcx,%rcx", 0x48, 0x85, 0xc9)
    .to("je", "finalized")
    .op("push %rbp", 0x55)
    .op("push %r15", 0x41, 0x57)
    .op("sub $0x8,%rsp", 0x48, 0x83, 0xec, 0x08);
  eachOf(to, "finalizers", 1, tables.finalizers.length, () => to.op("call *(%r15)", 0x41, 0xff, 0x17));
  to.op("add $0x8,%rsp", 0x48, 0x83, 0xc4, 0x08)
    .op("pop %r15", 0x41, 0x5f)
    .op("pop %rbp", 0x5d)
    .label("finalized")
    .op("ret", 0xc3);
  emitReturnHandler(to);

  to.align(8).label("entry state").quad(tables.state).label("program entry").quad(tables.entry);
  to.label("thread pointer").quad(tables.threadPointer ?? 0);
  to.label("auxiliary");
  for (const [type, value] of tables.auxiliary) to.quad(type).quad(value);
  to.label("resolved");
  for (const { at, resolver, addend } of tables.resolved)
    to.quad(at)
      .quad(resolver)
      .quad(BigInt.asUintN(64, BigInt(addend)));
  to.label("protected");
  for (const { start, length, protection } of tables.protected) to.quad(start).quad(length).quad(protection);
  to.label("initializers");
  for (const address of tables.initializers) to.quad(address);
  to.label("finalizers");
  for (const address of tables.finalizers) to.quad(address);
  to.label("process name").data(cString(tables.name));
}

/** Goes through a table of so many words each. */
function eachOf(to: Assembler, table: string, words: number, count: number, body: () => void): void {
  if (count === 0) return;
  to.rip(`lea ${table}(%rip),%r15`, table, 0x4c, 0x8d, 0x3d)
    .op(`mov $0x${count.toString(16)},%ebp`, 0xbd, ...immediate(count))
    .label(`each of ${table}`);
  body();
  to.op(`add $0x${(8 * words).toString(16)},%r15`, 0x49, 0x83, 0xc7, 8 * words)
    .op("dec %ebp", 0xff, 0xcd)
    .to("jne", `each of ${table}`);
}

/** The kernel has told of the image, and the program wants to hear of itself. */
function tellAuxiliary(to: Assembler, count: number): void {
  if (count === 0) return;
  to.op("mov %r14,%rax", 0x4c, 0x89, 0xf0)
    .label("past environment")
    .op("add $0x8,%rax", 0x48, 0x83, 0xc0, 0x08)
    .op("cmpq $0x0,-0x8(%rax)", 0x48, 0x83, 0x78, 0xf8, 0x00)
    .to("jne", "past environment")
    .label("next auxiliary")
    .op("mov (%rax),%rcx", 0x48, 0x8b, 0x08)
    .op("test %rcx,%rcx", 0x48, 0x85, 0xc9)
    .to("je", "auxiliary told")
    .rip("lea auxiliary(%rip),%rdx", "auxiliary", 0x48, 0x8d, 0x15)
    .op(`mov $0x${count.toString(16)},%esi`, 0xbe, ...immediate(count))
    .label("next change")
    .op("cmp (%rdx),%rcx", 0x48, 0x3b, 0x0a)
    .to("jne", "another")
    .op("mov 0x8(%rdx),%rdi", 0x48, 0x8b, 0x7a, 0x08)
    .op("mov %rdi,0x8(%rax)", 0x48, 0x89, 0x78, 0x08)
    .label("another")
    .op("add $0x10,%rdx", 0x48, 0x83, 0xc2, 0x10)
    .op("dec %esi", 0xff, 0xce)
    .to("jne", "next change")
    .op("add $0x10,%rax", 0x48, 0x83, 0xc0, 0x10)
    .to("jmp", "next auxiliary")
    .label("auxiliary told");
}
