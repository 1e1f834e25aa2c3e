// To the kernel, a process that was started by an ld.so's name is that ld.so. When it asks for its own file, it gets
// the program: functions that take a path come before libc's, and treat /proc/self/exe as the program's own file. They
// find libc's own by the distance from one of its functions, since they are made for that one libc.

import { PAGE_SIZE } from "../../../lib/memory/numbers.ts";
import { Assembler, type CodeAndData } from "../../../lib/x86-64/assembler.ts";
import { PATH_MAX } from "../../../lib/x86-64/linux.ts";
import { al, eax, ecx } from "../../../lib/x86-64/narrow-registers.ts";
import { char, mem, rip } from "../../../lib/x86-64/operands.ts";
import { r10, r11, r12, r13, r14, r15, rax, rbp, rbx, rcx, rdi, rsi } from "../../../lib/x86-64/registers.ts";
import { emitPathFunctions } from "./paths.ts";
import { CALLED, emitBegins, emitVectors, STARTED_AS } from "./vectors.ts";

const PR_SET_NAME = 15;

/**
 * The labels of the function that ld.so calls first, and of the quads for __libc_stack_end and for the libc function.
 */
export const EXE_SHIM_PARTS = { resolver: "exeShim", stackEnd: "stack end", anchor: "anchor" } as const;

/**
 * The code, and the names of its functions, each at a label of its name. `distanceOf` returns the distance of a libc
 * function from the anchor, if libc has it.
 */
export function exeShimCode(
  distanceOf: (name: string) => number | undefined,
): CodeAndData & { readonly names: readonly string[] } {
  const to = new Assembler();
  emitVectors(to);
  emitBegins(to);
  emitExeShim(to);
  const names = emitPathFunctions(to, {
    ...{ program: undefined, hasTree: false, isHosted: true },
    find: { anchor: EXE_SHIM_PARTS.anchor, distanceOf },
  });
  to.align(PAGE_SIZE);
  const dataAt = to.length;
  to.quads({ [EXE_SHIM_PARTS.stackEnd]: 0, [EXE_SHIM_PARTS.anchor]: 0, "own length": 0 });
  to.label("own path").data(new Uint8Array(PATH_MAX));
  return { code: to.assemble(), dataAt, names };
}

/** Saves the program's path, and has the process report what it was started as. */
export function emitExeShim(to: Assembler): void {
  to.label("exeShim").push(rbx, rbp, r12, r13, r14, r15).call("vectors");
  // A variable says what it was started as, and is removed; without it, that is its file.
  to.mov(r15, r11).mov(r14, rbx);
  to.label("next variable").mov(mem(rbx), rdi).test(rdi, rdi).je("started known");
  to.lea(rip("started name"), rsi).call("begins").je("started found");
  to.mov(mem(rbx), rdi).lea(rip("called name"), rsi).call("begins").je("called found");
  to.add(8, rbx).jmp("next variable");
  to.label("started found").mov(rdi, r11).mov(rdi, mem(r10)).jmp("remove variable");
  // argv[0] is its path there, which was all that the ld.so could be told.
  to.label("called found").mov(r13, rcx);
  to.label("next argument").mov(mem(rcx), rax).test(rax, rax).je("remove variable");
  to.cmp(r15, rax).je("first argument");
  to.add(8, rcx).jmp("next argument");
  to.label("first argument").mov(rdi, mem(rcx));
  to.label("remove variable").mov(rbx, rcx);
  to.label("next behind").mov(mem(rcx, 8), rax).mov(rax, mem(rcx)).add(8, rcx).test(rax, rax).jne("next behind");
  to.jmp("next variable");
  to.label("started known").lea(rip("own path"), rdi).mov(r15, rsi);
  to.mov(PATH_MAX - 1, ecx);
  to.label("copy path").mov(mem(rsi), al).mov(al, mem(rdi)).test(al, al).je("path copied");
  to.inc(rsi).inc(rdi).dec(ecx).jne("copy path");
  to.movb(0, mem(rdi));
  to.label("path copied").lea(rip("own path"), rax).sub(rax, rdi).mov(rdi, rip("own length"));
  // The process's name is the part after the last slash.
  to.mov(r11, rsi);
  to.label("name begins").mov(r11, rsi);
  to.label("next byte").mov(mem(r11), al).test(al, al).je("name known");
  to.inc(r11).cmp(char("/"), al).je("name begins").jmp("next byte");
  to.label("name known").systemCall("prctl", PR_SET_NAME, rsi);
  to.pop(r15, r14, r13, r12, rbp, rbx).xor(eax, eax).ret();
  to.texts({ "started name": STARTED_AS, "called name": CALLED });
}
