// What a program learns of loaded objects: the program comes first and has no name, as natively; Bun and our own
// objects are left out; the capsules' objects are included. glibc itself shows a caller only its own namespace.

import type { Address } from "../../../lib/memory/numbers.ts";
import type { Assembler } from "../../../lib/x86-64/assembler.ts";
import { eax } from "../../../lib/x86-64/narrow-registers.ts";
import { mem, rip } from "../../../lib/x86-64/operands.ts";
import { r8, r9, r10, r11, r12, rax, rbx, rcx, rdi, rdx, rsi, rsp } from "../../../lib/x86-64/registers.ts";
import { Record } from "../record.ts";

/** On dl_iterate_phdr's stack: its arguments, and the round. */
const Iteration = { callback: 0, data: 8, round: 16, size: 32 } as const;
/** An offset in struct dl_phdr_info, and the largest one that is copied, in bytes. */
const [DLPI_NAME, INFO_SIZE] = [8, 128] as const;
/** On the stack, which stays aligned. */
const INFO_ROOM = INFO_SIZE + 8;

export interface ObjectTargets {
  readonly dladdr: Address;
  readonly dladdr1: Address;
  readonly dlinfo: Address;
  readonly dl_iterate_phdr: Address;
  /** The private directory. */
  readonly directory: string;
  /** The l_name of another of our objects, outside that directory. */
  readonly ownName: Address;
  /** Links in that directory, as relative paths: objects loaded through them are shown. */
  readonly links?: readonly string[];
  /** The program's l_name, from before its constructors on. */
  readonly programName: Address;
  /** The address of the Record. */
  readonly record: Address;
  /** Bun's link_map, which dlopen(NULL) returns as a handle. */
  readonly first: Address;
  /** For each capsule the address of its `iterate here`; NULL after the last. */
  readonly iterators: Address;
}

/**
 * `dladdr` and `dladdr1` name the program by argv[0], as glibc does. `dlinfo` reports the program when asked about Bun.
 * `dl_iterate_phdr` goes through the base namespace twice, for the program and for the others, then through the
 * capsules.
 */
export function emitObjectFunctions(to: Assembler, targets: ObjectTargets): void {
  to.label("dladdr").push(rsi).call(rip("real dladdr")).pop(rsi).jmp("name found");
  to.label("dladdr1").push(rsi).call(rip("real dladdr1")).pop(rsi);
  to.label("name found").test(eax, eax).je("named");
  to.mov(rip("program name"), r10).cmp(r10, mem(rsi)).jne("named");
  to.mov(rip("object record"), r10).mov(mem(r10, Record.offsetOf.argv), r10).mov(mem(r10), r10).mov(r10, mem(rsi));
  to.label("named").ret();
  to.label("dlinfo").cmp(rip("first"), rdi).jne("other object");
  to.mov(rip("object record"), rax).mov(mem(rax, Record.offsetOf.program), rdi);
  to.label("other object").jmp(rip("real dlinfo"));
  // (callback, data)
  to.label("dl_iterate_phdr").push(rbx).sub(Iteration.size, rsp);
  to.mov(rdi, mem(rsp, Iteration.callback)).mov(rsi, mem(rsp, Iteration.data)).movq(0, mem(rsp, Iteration.round));
  to.lea(rip("each object"), rdi).mov(rsp, rsi).call(rip("real dl_iterate_phdr")).test(eax, eax).jne("iterated");
  to.movq(1, mem(rsp, Iteration.round));
  to.lea(rip("each object"), rdi).mov(rsp, rsi).call(rip("real dl_iterate_phdr"));
  to.mov(rip("iterators"), rbx);
  to.label("next capsule").test(eax, eax).jne("iterated");
  to.mov(mem(rbx), r11).test(r11, r11).je("iterated");
  to.add(8, rbx).lea(rip("each object"), rdi).mov(rsp, rsi).call(r11).jmp("next capsule");
  to.label("iterated").add(Iteration.size, rsp).pop(rbx).ret();
  // (info, size, an Iteration)
  to.label("each object").mov(mem(rdi, DLPI_NAME), rax).cmp(rip("program name"), rax).je("program object");
  to.cmpq(0, mem(rdx, Iteration.round)).je("passed over");
  to.cmpb(0, mem(rax)).je("passed over");
  to.cmp(rip("own name"), rax).je("passed over");
  to.lea(rip("private"), r10).call("match").jne("shown");
  to.mov(rax, r8).lea(rip("links"), r10);
  to.label("next link").cmpb(0, mem(r10)).je("passed over");
  to.mov(r8, rax).call("match").jne("other link");
  to.cmpb(0, mem(rax)).je("shown");
  to.label("other link").cmpb(0, mem(r10)).lea(mem(r10, 1), r10).jne("other link").jmp("next link");
  to.label("shown").mov(mem(rdx, Iteration.data), rcx).mov(mem(rdx, Iteration.callback), r11).mov(rcx, rdx).jmp(r11);
  to.label("program object").cmpq(0, mem(rdx, Iteration.round)).jne("passed over");
  to.mov(mem(rdx, Iteration.data), r8).mov(mem(rdx, Iteration.callback), r11);
  to.mov(rsi, rcx).mov(rdi, r9).mov(rsi, rax).sub(INFO_ROOM, rsp).cmp(INFO_SIZE, rcx).ja("too large");
  to.mov(rdi, rsi).mov(rsp, rdi).rep().movsb();
  to.lea(rip("empty"), rcx).mov(rcx, mem(rsp, DLPI_NAME));
  to.mov(rsp, rdi).mov(rax, rsi).mov(r8, rdx).call(r11).add(INFO_ROOM, rsp).ret();
  to.label("too large").add(INFO_ROOM, rsp).mov(r9, rdi).mov(rax, rsi).mov(r8, rdx).jmp(r11);
  to.label("passed over").xor(eax, eax).ret();
  to.align(8);
  for (const name of ["dladdr", "dladdr1", "dlinfo", "dl_iterate_phdr"] as const)
    to.label(`real ${name}`).quad(targets[name]);
  to.quads({ "program name": targets.programName, "own name": targets.ownName });
  to.quads({ "object record": targets.record, first: targets.first, iterators: targets.iterators });
  to.texts({ empty: "", private: `${targets.directory}/` });
  to.texts({ links: (targets.links ?? []).map((name) => `${name}\0`).join("") });
}

/**
 * `iterate here` and `open here`: dl_iterate_phdr and dlopen in the namespace of this code, which is the agent's.
 * dlmopen does not take RTLD_GLOBAL.
 */
export function emitHere(to: Assembler, real: Address): void {
  for (const [label, cell] of [
    ["iterate here", "dl_iterate_phdr address"],
    ["open here", "dlopen address"],
  ] as const)
    to.align(16).label(label).sub(8, rsp).call(rip(cell)).add(8, rsp).ret();
  to.align(8).label("dl_iterate_phdr address").quad(real);
}

/**
 * `iterate also` (callback, data): what the function at `before` shows, then what the function whose address is at
 * `cell` shows, unless that is NULL.
 */
export function emitIterateAlso(to: Assembler, before: Address, cell: Address): void {
  to.label("iterate also").push(rbx, r12).sub(8, rsp).mov(rdi, rbx).mov(rsi, r12).call(rip("before"));
  to.test(eax, eax).jne("all shown");
  to.mov(rip("cell"), rdx).mov(mem(rdx), rdx).test(rdx, rdx).je("all shown");
  to.mov(rbx, rdi).mov(r12, rsi).call(rdx);
  to.label("all shown").add(8, rsp).pop(r12, rbx).ret();
  to.align(8).quads({ before, cell });
}
