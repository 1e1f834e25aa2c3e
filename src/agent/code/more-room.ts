// Static thread-local data in a process with an auditor. There ld.so reserves it before it knows the program's
// libraries, instead of as much as these have (2.35 to 2.41, elf/rtld.c: init_tls before load_audit_modules), and
// refuses a library that does not fit: "cannot allocate memory in static TLS block".
//
// So the libraries' sizes are added up while ld.so maps them, before any code of the program runs. If the sum exceeds
// the room, the program is started over with a tunable that makes room. Each thread then has as much as natively, and
// some spare.

import { PT_TLS } from "../../../lib/elf/constants.ts";
import { Ehdr } from "../../../lib/elf/ehdr.ts";
import { Phdr } from "../../../lib/elf/phdr.ts";
import { PAGE_SIZE } from "../../../lib/memory/numbers.ts";
import type { Assembler } from "../../../lib/x86-64/assembler.ts";
import { PATH_MAX, STAT } from "../../../lib/x86-64/linux.ts";
import { al, eax, ebp, ecx, edx, esi, r9d, r15d } from "../../../lib/x86-64/narrow-registers.ts";
import { char, mem, rip } from "../../../lib/x86-64/operands.ts";
import { r8, r9, r12, r13, r14, r15, rax, rbp, rbx, rcx, rdi, rdx, rsi } from "../../../lib/x86-64/registers.ts";
import { TUNABLES } from "../../plan/glibc/tunables.ts";
import { AUDITED, DEFAULT, TUNABLE } from "../../plan/static-tls.ts";
import { MAGIC } from "./soname.ts";
import { AT_EXECFN } from "./vectors.ts";

/** Left for dlopen after a program has been started over, in bytes. */
const SPARE = AUDITED + DEFAULT;

const [O_CLOEXEC, PROT_READ_WRITE, MAP_ANONYMOUS_NORESERVE] = [0x8_0000, 3, 0x4022] as const;
/** In bytes, a bit more than arguments and variables (at most 3/4 of 8 MiB) and the pointers to them can take. */
const [WORK, ARGUMENTS] = [16 << 20, 8 << 20] as const;

/** What emitMoreRoom needs besides `begins`, and `piece` of emitSonameOf: each a quad that is 0 at first. */
export const ROOM_WORDS = ["is running", "has program", "size of blocks", "environment"] as const;

/**
 * `note environment` (an initialiser), `la_activity` and `make room`. `kept` is what to keep available to the isolated
 * libraries, in bytes.
 */
export function emitMoreRoom(to: Assembler, kept: number): void {
  emitNotes(to);
  emitMakeRoom(to, kept);
  emitRoomGiven(to);
  emitStartOver(to);
  emitAppend(to);
  to.texts({
    "variable name": `${TUNABLES}=`,
    "setting name": `${TUNABLE}=`,
    "own arguments": "/proc/self/cmdline",
    "own file": "/proc/self/exe",
  });
}

function emitNotes(to: Assembler): void {
  to.label("note environment").mov(rdx, rip("environment")).ret(); // (argc, argv, envp)
  // (cookie, activity): at LA_ACT_CONSISTENT the base namespace is complete, and bound.
  to.label("la_activity").cmpq(0, mem(rdi)).jne("unnoted").test(esi, esi).jne("unnoted");
  to.lea(rip("is running"), rdi).movb(1, mem(rdi));
  to.label("unnoted").ret();
}

/**
 * (link_map): of the base namespace, in the order in which ld.so maps them. The first is the program, which ld.so
 * accounts for.
 */
function emitMakeRoom(to: Assembler, kept: number): void {
  const { p_type, p_memsz, p_align } = Phdr.offsetOf;
  to.label("make room").lea(rip("is running"), rsi).cmpb(0, mem(rsi)).jne("room enough");
  to.lea(rip("has program"), rsi).cmpb(0, mem(rsi)).movb(1, mem(rsi)).je("room enough");

  // A prelinked object does not begin at its load bias.
  to.mov(mem(rdi), r8).mov(r8, rdi).systemCall("mincore", rdi, 1, "piece").test(eax, eax).jne("room enough");
  to.cmpl(MAGIC, mem(r8)).jne("room enough");
  to.movzwl(mem(r8, Ehdr.offsetOf.e_phnum), edx).imul(Phdr.size, edx, edx).mov(mem(r8, Ehdr.offsetOf.e_phoff), rax);
  to.add(rax, rdx).cmp(PAGE_SIZE, rdx).ja("room enough").add(r8, rax).add(r8, rdx);
  to.label("header").cmp(rdx, rax).jae("room enough").cmpl(PT_TLS, mem(rax, p_type)).je("thread-local");
  to.add(Phdr.size, rax).jmp("header");

  to.label("thread-local").mov(mem(rax, p_memsz), rdx).add(mem(rax, p_align), rdx);
  to.lea(rip("size of blocks"), rsi).add(rdx, mem(rsi)).mov(mem(rsi), rdx).cmp(DEFAULT, rdx).jle("room enough");
  to.push(rbx, rbp, r12, r13, r14, r15);
  to.add(kept, rdx).lea(mem(rdx, SPARE), r13).mov(rdx, r12).call("room given");
  to.cmp(rax, r12).jle("room made").call("start over");
  to.label("room made").pop(r15, r14, r13, r12, rbp, rbx);
  to.label("room enough").ret();
}

/** Leaves in rax the room that the environment sets, and in r15 GLIBC_TUNABLES, or NULL. ld.so uses the last. */
function emitRoomGiven(to: Assembler): void {
  to.label("room given").xor(r15d, r15d).mov(DEFAULT, r9d).mov(rip("environment"), r14);
  to.label("variable").mov(mem(r14), rdi).test(rdi, rdi).je("counted");
  to.add(8, r14).lea(rip("variable name"), rsi).call("begins").jne("variable").mov(rdi, r15).mov(rdi, r8);
  to.label("setting").mov(r8, rdi).lea(rip("setting name"), rsi).call("begins").jne("next setting").xor(r9d, r9d);
  to.label("digit").movzbl(mem(rdi), eax).sub(char("0"), eax).cmp(9, eax).ja("next setting");
  to.imul(10, r9d, r9d).add(eax, r9d).inc(rdi).jmp("digit");
  to.label("next setting").cmpb(0, mem(r8)).lea(mem(r8, 1), r8).jne("setting").jmp("variable");
  to.label("counted").mov(r9, rax).ret();
}

/** r13 is the room to make. Returns only if that is not possible; ld.so then reports what is wrong. */
function emitStartOver(to: Assembler): void {
  to.label("start over");
  to.systemCall("mmap", 0, WORK, PROT_READ_WRITE, MAP_ANONYMOUS_NORESERVE, -1, 0).test(rax, rax).js("not started over");
  to.mov(rax, rbx);

  // The arguments as the kernel got them: an ld.so that was started by name has removed its own from the stack.
  to.systemCall("open", "own arguments", O_CLOEXEC).test(eax, eax).js("given up").mov(eax, ebp).mov(rbx, r12);
  to.label("arguments").systemCall("read", ebp, r12, ARGUMENTS).test(rax, rax).jle("all arguments");
  to.add(rax, r12).jmp("arguments");
  to.label("all arguments").systemCall("close", ebp).lea(mem(r12, 15), rbp).and(-8, rbp);
  to.mov(rbp, rdi).mov(rbx, rcx);
  to.label("argument").cmp(r12, rcx).jae("no argument").mov(rcx, rax).stosq();
  to.label("character").cmpb(0, mem(rcx)).lea(mem(rcx, 1), rcx).jne("character").jmp("argument");
  to.label("no argument").xor(eax, eax).stosq();

  // The variables, one of them replaced. The auxiliary vector follows them.
  to.mov(rdi, r12).mov(rip("environment"), r14);
  to.label("kept variable").mov(mem(r14), r9).add(8, r14).test(r9, r9).je("new variable");
  to.mov(rdi, r8).mov(r9, rdi).lea(rip("variable name"), rsi).call("begins").mov(r8, rdi).je("kept variable");
  to.mov(r9, rax).stosq().jmp("kept variable");
  to.label("new variable").lea(mem(rdi, 16), rax).stosq().xor(eax, eax).stosq();
  to.lea(rip("variable name"), rsi).call("write text").test(r15, r15).je("new setting");
  to.mov(r15, rsi).call("write text").movb(char(":"), mem(rdi)).inc(rdi);
  to.label("new setting").lea(rip("setting name"), rsi).call("write text").mov(r13, rax).mov(10, ecx).xor(r9d, r9d);
  to.label("tenth").xor(edx, edx).div(rcx).add(char("0"), edx).push(rdx).inc(r9d).test(rax, rax).jne("tenth");
  to.label("written digit").pop(rax).mov(al, mem(rdi)).inc(rdi).dec(r9d).jne("written digit");
  to.movb(0, mem(rdi)).lea(mem(rdi, 16), r13).and(-8, r13);

  // Run by the name that the kernel was given, unless that is a script's.
  to.label("auxiliary").mov(mem(r14), rax).test(rax, rax).je("by the link");
  to.mov(mem(r14, 8), r15).add(16, r14).cmp(AT_EXECFN, rax).jne("auxiliary");
  to.systemCall("stat", r15, r13).test(eax, eax).jne("by the link");
  to.lea(mem(r13, STAT.size), rsi).systemCall("stat", "own file", rsi).test(eax, eax).jne("by the link");
  for (const field of [STAT.st_dev, STAT.st_ino]) {
    to.mov(mem(r13, field), rax);
    to.cmp(mem(r13, STAT.size + field), rax).jne("by the link");
  }
  to.mov(r15, rdi).call("execute");
  to.label("by the link").systemCall("readlink", "own file", r13, PATH_MAX).test(rax, rax).jle("given up");
  to.movb(0, mem(r13, 0, rax)).mov(r13, rdi);
  to.call("execute").lea(rip("own file"), rdi).call("execute");
  to.label("given up").systemCall("munmap", rbx, WORK);
  to.label("not started over").ret();
  to.label("execute").systemCall("execve", rdi, rbp, r12).ret();
}

/** (destination, string): copies the string without its NUL, and leaves rdi at the end of the copy. */
function emitAppend(to: Assembler): void {
  to.label("write text").movzbl(mem(rsi), eax).test(al, al).je("written text");
  to.mov(al, mem(rdi)).inc(rsi).inc(rdi).jmp("write text");
  to.label("written text").ret();
}
