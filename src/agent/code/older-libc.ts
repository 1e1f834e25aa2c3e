// A process that brings an ld.so and a libc of its own, older than the chosen glibc: isolated libraries may not run on
// that. The auditor sees the libc when it has been mapped, before any version is compared, and has the process started
// over (reexec-stub.ts) on the chosen glibc.

import { DT_GNU_HASH, DT_SONAME, DT_STRTAB, DT_SYMTAB, DT_VERDEF } from "../../../lib/elf/constants.ts";
import { Dyn } from "../../../lib/elf/dyn.ts";
import { gnuHash } from "../../../lib/elf/gnu-hash.ts";
import { Sym } from "../../../lib/elf/sym.ts";
import { Verdef } from "../../../lib/elf/versions.ts";
import { LinkMap } from "../../../lib/loader/link-map.ts";
import { LIBC } from "../../../lib/tree/glibc-names.ts";
import type { Assembler } from "../../../lib/x86-64/assembler.ts";
import { STAT } from "../../../lib/x86-64/linux.ts";
import { eax, ecx, edi, edx, esi, r9d, r10d, r11d } from "../../../lib/x86-64/narrow-registers.ts";
import type { Pointer } from "../../../lib/x86-64/operands.ts";
import { char, mem, rip } from "../../../lib/x86-64/operands.ts";
import { r8, r9, r10, r11, rax, rcx, rdi, rdx, rsi, rsp } from "../../../lib/x86-64/registers.ts";
import type { ReexecStubTargets } from "./reexec-stub.ts";
import { STACK_END } from "./vectors.ts";

export interface OlderTargets extends ReexecStubTargets {
  /** N of the newest version GLIBC_2.N that the chosen libc defines: a libc that defines none as new is older. */
  readonly newest: number;
}

/** A chosen file, with the path by which it is reached. */
export interface ChosenFile {
  readonly path: string;
  readonly dev: bigint;
  readonly ino: bigint;
}

const { l_addr, l_ld, l_prev } = LinkMap.offsetOf;
const { vd_aux, vd_next } = Verdef.offsetOf;
/** Offsets in DT_GNU_HASH: the filter has 64-bit words; the buckets follow it. */
const GnuHash = { buckets: 0, firstSymbol: 4, filterSize: 8, filter: 16 } as const;
/** For a struct stat on the stack, which stays aligned. */
const STAT_ROOM = STAT.size + 8;

/**
 * `older` (link_map in r8): jumps to `reexecStub` for an older libc, unless the process has already been started over
 * or cannot be. Keeps r8. Needs `equal`, `is started`, `is reachable`, `stack end`, and what `reexecStub` has.
 */
export function emitOlder(to: Assembler, { newest }: Pick<OlderTargets, "newest">): void {
  to.label("older").lea(rip("is started"), rax).cmpb(0, mem(rax)).jne("not older");
  to.xor(r9d, r9d).xor(r10d, r10d).xor(r11d, r11d);
  emitDynamic(to, "of libc", r8, [
    [DT_STRTAB, r9],
    [DT_SONAME, r11],
    [DT_VERDEF, r10],
  ]);
  to.test(r10, r10).je("not older");
  emitAddresses(to, "of libc", r8, [r9, r10]);
  to.lea(mem(r9, 0, r11), rdi).lea(rip("libc name"), rsi);
  to.call("equal").jne("not older");
  to.label("next version").mov(mem(r10, vd_aux), eax);
  to.mov(mem(r10, 0, rax), edi).add(r9, rdi);
  to.lea(rip("version family"), rsi).call("begins").jne("version looked at");
  to.xor(ecx, ecx);
  to.label("next digit").movzbl(mem(rdi), eax).test(eax, eax).je("number known");
  to.sub(char("0"), eax).cmp(9, eax).ja("version looked at"); // GLIBC_2.2.5
  to.imul(10, ecx, ecx).add(eax, ecx).inc(rdi).jmp("next digit");
  to.label("number known").cmp(newest, ecx).jae("not older");
  to.label("version looked at").mov(mem(r10, vd_next), eax).add(rax, r10).test(eax, eax).jne("next version");
  to.call("is reachable").jne("not older");
  // ld.so comes before libc in the list.
  to.mov(r8, rdi);
  to.label("object before").mov(mem(rdi, l_prev), rdi).test(rdi, rdi).je("not older");
  to.call("find stack end").test(rax, rax).je("object before");
  to.mov(rax, rip("stack end")).jmp("reexecStub");
  to.label("not older").ret();
  emitFindStackEnd(to);
  to.texts({ "libc name": LIBC, "version family": "GLIBC_2." });
}

/**
 * `is reachable`: `je` if the process sees the chosen files. A sandbox may hide them, or have another system's files in
 * their place. Changes rax, rcx, rsi, rdi and r11.
 */
export function emitIsReachable(to: Assembler, files: readonly ChosenFile[]): void {
  to.label("is reachable").sub(STAT_ROOM, rsp);
  for (const i of files.keys()) {
    to.systemCall("stat", `file ${i}`, rsp).test(eax, eax).jne("looked");
    to.mov(mem(rsp, STAT.st_dev), rax);
    to.cmp(rip(`device ${i}`), rax).jne("looked");
    to.mov(mem(rsp, STAT.st_ino), rax);
    to.cmp(rip(`inode ${i}`), rax).jne("looked");
  }
  to.label("looked").lea(mem(rsp, STAT_ROOM), rsp).ret().align(8);
  for (const [i, { dev, ino }] of files.entries()) to.quads({ [`device ${i}`]: dev, [`inode ${i}`]: ino });
  for (const [i, { path }] of files.entries()) to.texts({ [`file ${i}`]: path });
}

/** (link_map): the address of __libc_stack_end, if the object defines it, or 0. Changes rcx, rdx, rsi, r9, r10, r11. */
function emitFindStackEnd(to: Assembler): void {
  const hash = gnuHash(Buffer.from(STACK_END));
  to.label("find stack end").xor(r9d, r9d).xor(r10d, r10d);
  emitDynamic(to, "of ld.so", rdi, [
    [DT_SYMTAB, r10],
    [DT_GNU_HASH, r9],
  ]);
  to.test(r9, r9).je("not there");
  emitAddresses(to, "of ld.so", rdi, [r9, r10]);
  to.mov(mem(r9, GnuHash.buckets), ecx).test(ecx, ecx).je("not there");
  to.mov(hash, eax).xor(edx, edx).div(ecx);
  to.mov(mem(r9, GnuHash.filterSize), esi).lea(mem(r9, GnuHash.filter, rsi, 8), rsi); // rsi: the buckets
  to.mov(mem(rsi, 0, rdx, 4), edx)
    .test(edx, edx)
    .je("not there"); // edx: the first symbol in the bucket
  to.lea(mem(rsi, 0, rcx, 4), rsi); // rsi: the hashes; the lowest bit is set for the last of a bucket
  to.label("next of bucket").mov(edx, eax).sub(mem(r9, GnuHash.firstSymbol), eax);
  to.mov(mem(rsi, 0, rax, 4), eax);
  to.mov(eax, r11d).xor(hash, eax).shr(1, eax).je("there");
  to.inc(edx).test(1, r11d).je("next of bucket");
  to.label("not there").xor(eax, eax).ret();
  to.label("there").imul(Sym.size, rdx, rdx);
  to.mov(mem(r10, Sym.offsetOf.st_value, rdx), rax);
  to.add(mem(rdi, l_addr), rax).ret();
}

/** Loads values of dynamic entries, by tag, of the object whose link_map is in a register. Changes rax, rcx and rdx. */
function emitDynamic(
  to: Assembler,
  whose: string,
  object: Pointer,
  wanted: readonly (readonly [tag: number, to: Pointer])[],
): void {
  const { d_tag, d_val } = Dyn.offsetOf;
  to.mov(mem(object, l_ld), rdx);
  to.label(`next tag ${whose}`).mov(mem(rdx, d_tag), rax).mov(mem(rdx, d_val), rcx);
  for (const [tag, register] of wanted) to.cmp(tag, rax).cmove(rcx, register);
  to.add(Dyn.size, rdx).test(rax, rax).jne(`next tag ${whose}`);
}

/**
 * Makes addresses of values from an object's dynamic section, which has them once ld.so has relocated it, and keeps
 * vaddrs if it is read-only. Changes rcx.
 */
function emitAddresses(to: Assembler, whose: string, object: Pointer, values: readonly Pointer[]): void {
  to.mov(mem(object, l_addr), rcx);
  values.forEach((value, i) => {
    const known = `value ${i} ${whose} known`;
    to.cmp(rcx, value).jae(known).add(rcx, value).label(known);
  });
}
