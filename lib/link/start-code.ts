// Starts a linked program: the steps that can only be done where its code runs, in order. Everything known beforehand
// is in memory already; what remains is calling the objects' own code, and setting the thread pointer and protections
// by system calls. The process is either a new one that begins with this code, or the one that linked the program and
// ends with it.

import { cString } from "../memory/live.ts";
import type { Address } from "../memory/numbers.ts";
import type { Assembler } from "../x86-64/assembler.ts";
import { ebp, ecx, esi } from "../x86-64/narrow-registers.ts";
import { mem, rip } from "../x86-64/operands.ts";
import { r12, r13, r14, r15, rax, rbp, rbx, rcx, rdi, rdx, rsi, rsp } from "../x86-64/registers.ts";
import { EntryState, emitEnterProgram, emitReturnHandler } from "./enter-code.ts";
import type { StartStep } from "./relocation.ts";

/** Whole pages. */
export interface Range {
  readonly start: Address;
  readonly length: number;
  readonly protection: number;
}

/** A function: its address or, if known, the word that will hold it at the time of the call. */
interface Called {
  readonly address: Address;
  readonly at: Address | undefined;
}

export interface StartTables {
  /** Pages to replace with zeroes. */
  readonly zeroes: readonly Range[];
  /** Pages to protect first of all. */
  readonly areas: readonly Range[];
  /** Replacements for the kernel's auxiliary values, by type. */
  readonly auxiliary: ReadonlyMap<number, bigint>;
  readonly threadPointer: Address;
  readonly steps: readonly StartStep[];
  /** Pages to protect after relocation. */
  readonly relro: readonly Range[];
  /** Called with argc, argv and envp, in this order. */
  readonly initializers: readonly Called[];
  readonly entry: Address;
  /** The process's name, as in ps; 15 bytes count. The kernel's default is the name of the started file. */
  readonly name: string;
  /** Called without arguments, in this order. */
  readonly finalizers: readonly Called[];
  /** The address of EntryState, in writable memory. */
  readonly state: Address;
}

const FINALIZED = EntryState.offsetOf.finalized;
const PR_SET_NAME = 15;
const ARCH_SET_FS = 0x1002;
const MAP_PRIVATE_FIXED_ANONYMOUS = 0x32;

/**
 * `start`: entered like a program by the kernel, with the context at the stack pointer. When the program returns, its
 * process ends with exit code 0.
 */
export function emitStart(to: Assembler, tables: StartTables): void {
  // r12: the context, r13: argv, r14: envp; r15: the current row of a table, ebp: how many rows are left
  to.label("start").mov(rsp, r12).lea(mem(rsp, 8), r13);
  to.mov(mem(rsp), rax).lea(mem(r13, 8, rax, 8), r14);
  eachOf(to, "zeroes", 3, tables.zeroes.length, () => {
    to.systemCall("mmap", mem(r15), mem(r15, 8), mem(r15, 16), MAP_PRIVATE_FIXED_ANONYMOUS, -1, 0);
  });
  protect(to, "areas", tables.areas.length);
  tellAuxiliary(to, tables.auxiliary.size);
  to.systemCall("prctl", PR_SET_NAME, "process name");
  to.systemCall("arch_prctl", ARCH_SET_FS, rip("thread pointer"));
  doSteps(to, tables.steps.length);
  protect(to, "relro", tables.relro.length);
  eachOf(to, "initializers", 2, tables.initializers.length, () => {
    load(to, "initializers");
    to.mov(mem(r12), rdi).mov(r13, rsi).mov(r14, rdx).call(rax);
  });
  to.mov(rip("entry state"), rbx).mov(rsp, mem(rbx)).mov(rip("program entry"), r13).lea(rip("run finalizers"), r14);
  emitEnterProgram(to);
  to.call("run finalizers").systemCall("exit_group", 0);
  finalize(to, tables.finalizers.length);
  emitReturnHandler(to);
  emitTables(to, tables);
}

function protect(to: Assembler, table: "areas" | "relro", count: number): void {
  eachOf(to, table, 3, count, () => {
    to.systemCall("mprotect", mem(r15), mem(r15, 8), mem(r15, 16));
  });
}

/** Four words each: a flag for copies, then slot, resolver and addend, or to, from and length. */
function doSteps(to: Assembler, count: number): void {
  eachOf(to, "steps", 4, count, () => {
    to.cmpq(0, mem(r15)).jne("copy");
    to.call(mem(r15, 16)).add(mem(r15, 24), rax).mov(mem(r15, 8), rcx).mov(rax, mem(rcx)).jmp("step is done");
    to.label("copy").mov(mem(r15, 8), rdi).mov(mem(r15, 16), rsi).mov(mem(r15, 24), rcx).rep().movsb();
    to.label("step is done");
  });
}

/** A program may register this with atexit(3), as rdx says; the finalizers run only once. */
function finalize(to: Assembler, count: number): void {
  to.label("run finalizers").mov(rip("entry state"), rax).mov(1, ecx).xchg(rcx, mem(rax, FINALIZED));
  to.test(rcx, rcx).jne("finalized").push(rbp, r15).sub(8, rsp);
  eachOf(to, "finalizers", 2, count, () => {
    load(to, "finalizers");
    to.call(rax);
  });
  to.add(8, rsp).pop(r15, rbp);
  to.label("finalized").ret();
}

/** Loads a table row's function into rax: the second word, or the word that it points to. */
function load(to: Assembler, table: string): void {
  to.mov(mem(r15, 8), rax).cmpq(0, mem(r15)).je(`address of ${table}`).mov(mem(rax), rax);
  to.label(`address of ${table}`);
}

/** Goes through a table with `words` words per row. */
function eachOf(to: Assembler, table: string, words: number, count: number, body: () => void): void {
  if (count === 0) return;
  to.lea(rip(table), r15).mov(count, ebp).label(`each of ${table}`);
  body();
  to.add(8 * words, r15)
    .dec(ebp)
    .jne(`each of ${table}`);
}

/** The kernel's values describe the image; the program needs its own. */
function tellAuxiliary(to: Assembler, count: number): void {
  if (count === 0) return;
  to.mov(r14, rax);
  to.label("past environment").add(8, rax).cmpq(0, mem(rax, -8)).jne("past environment");
  to.label("next auxiliary").mov(mem(rax), rcx).test(rcx, rcx).je("auxiliary told");
  to.lea(rip("auxiliary"), rdx).mov(count, esi);
  to.label("next change").cmp(mem(rdx), rcx).jne("another");
  to.mov(mem(rdx, 8), rdi).mov(rdi, mem(rax, 8));
  to.label("another").add(16, rdx).dec(esi).jne("next change");
  to.add(16, rax).jmp("next auxiliary");
  to.label("auxiliary told");
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
