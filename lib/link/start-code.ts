// What starts a program that is linked: what can only be done where its own code runs, in
// order. Everything that could be known beforehand is in memory already; what is left are
// calls of the objects' own code, and what the kernel has to be asked for in the process: the
// thread pointer, and protections. The process is a new one, which begins with this, or
// the one that has linked, which ends with it.

import { cString } from "../memory/live.ts";
import type { Address } from "../memory/numbers.ts";
import { type Assembler, immediate } from "../x86-64/assembler.ts";
import { EntryState, emitEnterProgram, emitReturnHandler } from "./enter-code.ts";
import type { StartStep } from "./relocation.ts";

/** Whole pages. */
export interface Range {
  readonly start: Address;
  readonly length: number;
  readonly protection: number;
}

/** A function: its address, or, where that is known, the word that has it when it is called. */
interface Called {
  readonly address: Address;
  readonly at: Address | undefined;
}

export interface StartTables {
  /** Pages that are to be zeroes, in place of what is there. */
  readonly zeroes: readonly Range[];
  /** Pages to be protected first of all. */
  readonly areas: readonly Range[];
  /** Other values in the auxiliary vector that the kernel has given, by type. */
  readonly auxiliary: ReadonlyMap<number, bigint>;
  readonly threadPointer: Address;
  readonly steps: readonly StartStep[];
  /** Pages to be protected when all is relocated. */
  readonly relro: readonly Range[];
  /** Called with argc, argv and envp, in this order. */
  readonly initializers: readonly Called[];
  readonly entry: Address;
  /** Of the process, as ps shows it; 15 bytes count. The kernel names it by the file that it starts. */
  readonly name: string;
  /** Called without arguments, in this order. */
  readonly finalizers: readonly Called[];
  /** Where EntryState is, in writable memory. */
  readonly state: Address;
}

const FINALIZED = EntryState.offsetOf.finalized;
const SYS = { mmap: 9, mprotect: 10, prctl: 157, arch_prctl: 158, exit_group: 231 } as const;
const PR_SET_NAME = 15;
const ARCH_SET_FS = 0x1002;
const MAP_PRIVATE_FIXED_ANONYMOUS = 0x32;

function systemCall(to: Assembler, name: keyof typeof SYS): void {
  to.op(`mov $0x${SYS[name].toString(16)},%eax`, 0xb8, ...immediate(SYS[name])).op(`syscall # ${name}`, 0x0f, 0x05);
}

/**
 * `start`: entered as the kernel enters a program, with the context at the stack pointer. When the program returns, its
 * process ends with exit code 0.
 */
export function emitStart(to: Assembler, tables: StartTables): void {
  // r12: the context, r13: argv, r14: envp; ebp: how many are left of a table, which r15 goes through
  to.label("start")
    .op("mov %rsp,%r12", 0x49, 0x89, 0xe4)
    .op("lea 0x8(%rsp),%r13", 0x4c, 0x8d, 0x6c, 0x24, 0x08)
    .op("mov (%rsp),%rax", 0x48, 0x8b, 0x04, 0x24)
    .op("lea 0x8(%r13,%rax,8),%r14", 0x4d, 0x8d, 0x74, 0xc5, 0x08);
  makeZeroes(to, tables.zeroes.length);
  protect(to, "areas", tables.areas.length);
  tellAuxiliary(to, tables.auxiliary.size);
  nameProcess(to);
  setThreadPointer(to);
  doSteps(to, tables.steps.length);
  protect(to, "relro", tables.relro.length);
  eachOf(to, "initializers", 2, tables.initializers.length, () => {
    load(to, "initializers");
    to.op("mov (%r12),%rdi", 0x49, 0x8b, 0x3c, 0x24)
      .op("mov %r13,%rsi", 0x4c, 0x89, 0xee)
      .op("mov %r14,%rdx", 0x4c, 0x89, 0xf2)
      .op("call *%rax", 0xff, 0xd0);
  });
  to.rip("mov state(%rip),%rbx", "entry state", 0x48, 0x8b, 0x1d)
    .op("mov %rsp,(%rbx)", 0x48, 0x89, 0x23)
    .rip("mov entry(%rip),%r13", "program entry", 0x4c, 0x8b, 0x2d)
    .rip("lea finalizers(%rip),%r14", "run finalizers", 0x4c, 0x8d, 0x35);
  emitEnterProgram(to);
  to.to("call", "run finalizers").op("xor %edi,%edi", 0x31, 0xff);
  systemCall(to, "exit_group");
  finalize(to, tables.finalizers.length);
  emitReturnHandler(to);
  emitTables(to, tables);
}

function makeZeroes(to: Assembler, count: number): void {
  eachOf(to, "zeroes", 3, count, () => {
    to.op("mov (%r15),%rdi", 0x49, 0x8b, 0x3f)
      .op("mov 0x8(%r15),%rsi", 0x49, 0x8b, 0x77, 0x08)
      .op("mov 0x10(%r15),%rdx", 0x49, 0x8b, 0x57, 0x10)
      .op(`mov $0x${MAP_PRIVATE_FIXED_ANONYMOUS.toString(16)},%r10d`, 0x41, 0xba, ...immediate(0x32))
      .op("mov $0xffffffff,%r8d", 0x41, 0xb8, ...immediate(-1))
      .op("xor %r9d,%r9d", 0x45, 0x31, 0xc9);
    systemCall(to, "mmap");
  });
}

function protect(to: Assembler, table: "areas" | "relro", count: number): void {
  eachOf(to, table, 3, count, () => {
    to.op("mov (%r15),%rdi", 0x49, 0x8b, 0x3f)
      .op("mov 0x8(%r15),%rsi", 0x49, 0x8b, 0x77, 0x08)
      .op("mov 0x10(%r15),%rdx", 0x49, 0x8b, 0x57, 0x10);
    systemCall(to, "mprotect");
  });
}

function nameProcess(to: Assembler): void {
  to.op(`mov $0x${PR_SET_NAME.toString(16)},%edi`, 0xbf, ...immediate(PR_SET_NAME)).rip(
    ...["lea name(%rip),%rsi", "process name"],
    ...[0x48, 0x8d, 0x35],
  );
  systemCall(to, "prctl");
}

function setThreadPointer(to: Assembler): void {
  to.op(`mov $0x${ARCH_SET_FS.toString(16)},%edi`, 0xbf, ...immediate(ARCH_SET_FS)).rip(
    ...["mov pointer(%rip),%rsi", "thread pointer"],
    ...[0x48, 0x8b, 0x35],
  );
  systemCall(to, "arch_prctl");
}

/** Four words each: is it a copy?, then slot, resolver and addend, or to, from and length. */
function doSteps(to: Assembler, count: number): void {
  eachOf(to, "steps", 4, count, () =>
    to
      .op("cmpq $0x0,(%r15)", 0x49, 0x83, 0x3f, 0x00)
      .to("jne", "copy")
      .op("call *0x10(%r15)", 0x41, 0xff, 0x57, 0x10)
      .op("add 0x18(%r15),%rax", 0x49, 0x03, 0x47, 0x18)
      .op("mov 0x8(%r15),%rcx", 0x49, 0x8b, 0x4f, 0x08)
      .op("mov %rax,(%rcx)", 0x48, 0x89, 0x01)
      .to("jmp", "step is done")
      .label("copy")
      .op("mov 0x8(%r15),%rdi", 0x49, 0x8b, 0x7f, 0x08)
      .op("mov 0x10(%r15),%rsi", 0x49, 0x8b, 0x77, 0x10)
      .op("mov 0x18(%r15),%rcx", 0x49, 0x8b, 0x4f, 0x18)
      .op("rep movsb %ds:(%rsi),%es:(%rdi)", 0xf3, 0xa4)
      .label("step is done"),
  );
}

/** A program may register it by atexit(3), as rdx tells it; they run once. */
function finalize(to: Assembler, count: number): void {
  to.label("run finalizers")
    .rip("mov state(%rip),%rax", "entry state", 0x48, 0x8b, 0x05)
    .op("mov $0x1,%ecx", 0xb9, ...immediate(1))
    .op(`xchg %rcx,0x${FINALIZED.toString(16)}(%rax)`, 0x48, 0x87, 0x48, FINALIZED)
    .op("test %rcx,%rcx", 0x48, 0x85, 0xc9)
    .to("jne", "finalized")
    .op("push %rbp", 0x55)
    .op("push %r15", 0x41, 0x57)
    .op("sub $0x8,%rsp", 0x48, 0x83, 0xec, 0x08);
  eachOf(to, "finalizers", 2, count, () => {
    load(to, "finalizers");
    to.op("call *%rax", 0xff, 0xd0);
  });
  to.op("add $0x8,%rsp", 0x48, 0x83, 0xc4, 0x08)
    .op("pop %r15", 0x41, 0x5f)
    .op("pop %rbp", 0x5d)
    .label("finalized")
    .op("ret", 0xc3);
}

/** Loads the function of a table's line into rax: the second word, or what that one points at. */
function load(to: Assembler, table: string): void {
  to.op("mov 0x8(%r15),%rax", 0x49, 0x8b, 0x47, 0x08)
    .op("cmpq $0x0,(%r15)", 0x49, 0x83, 0x3f, 0x00)
    .to("je", `address of ${table}`)
    .op("mov (%rax),%rax", 0x48, 0x8b, 0x00)
    .label(`address of ${table}`);
}

/** Goes through a table of so many words a line. */
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

function emitTables(to: Assembler, tables: StartTables): void {
  to.align(8).label("entry state").quad(tables.state).label("program entry").quad(tables.entry);
  to.label("thread pointer").quad(tables.threadPointer);
  to.label("auxiliary");
  for (const [type, value] of tables.auxiliary) to.quad(type).quad(value);
  to.label("steps");
  for (const step of tables.steps) {
    if (step.kind === "copy") to.quad(1).quad(step.to).quad(step.from).quad(step.length);
    else
      to.quad(0)
        .quad(step.slot)
        .quad(step.resolver)
        .quad(BigInt.asUintN(64, BigInt(step.addend)));
  }
  for (const name of ["zeroes", "areas", "relro"] as const) {
    to.label(name);
    for (const { start, length, protection } of tables[name]) to.quad(start).quad(length).quad(protection);
  }
  for (const name of ["initializers", "finalizers"] as const) {
    to.label(name);
    for (const { address, at } of tables[name]) to.quad(at === undefined ? 0 : 1).quad(at ?? address);
  }
  to.label("process name").data(cString(tables.name));
}
