// A library's soname (DT_SONAME), read from its file as ld.so would, in a process without a libc. Only a file that
// ld.so would load has one: an x86-64 shared object.

import {
  DT_SONAME,
  DT_STRTAB,
  ELFCLASS64,
  ELFDATA2LSB,
  ELFMAG,
  EM_X86_64,
  ET_DYN,
  EV_CURRENT,
  PT_DYNAMIC,
  PT_LOAD,
} from "../../../lib/elf/constants.ts";
import { Dyn } from "../../../lib/elf/dyn.ts";
import { Ehdr } from "../../../lib/elf/ehdr.ts";
import { Phdr } from "../../../lib/elf/phdr.ts";
import type { Assembler } from "../../../lib/x86-64/assembler.ts";
import { eax, ebp, ebx, edi, edx, r10d, r13d, r14d } from "../../../lib/x86-64/narrow-registers.ts";
import { mem, rip } from "../../../lib/x86-64/operands.ts";
import { r10, r12, r13, r14, r15, rax, rbp, rbx, rcx, rdi, rdx, rsi } from "../../../lib/x86-64/registers.ts";

/** How many program headers are read at most, and how many bytes of tables at a time. */
const [HEADERS, PIECE] = [36, 1024] as const;

/**
 * What emitSonameOf needs: labels of writable buffers, and their sizes in bytes. One set suffices, since ld.so holds a
 * lock while it asks.
 */
export const SONAME_BUFFERS: ReadonlyMap<string, number> = new Map([
  ["headers", HEADERS * Phdr.size],
  ["piece", PIECE],
]);

/** The path may be a FIFO's: ld.so would wait for it, but we need not. */
const O_CLOEXEC_NONBLOCK = 0x8_0800;
/** The first four bytes of an ELF file, and the three after them. */
export const MAGIC = Buffer.from(ELFMAG).readUInt32LE();
const CLASS = ELFCLASS64 | (ELFDATA2LSB << 8) | (EV_CURRENT << 16);

/**
 * (path): returns a C string, empty if the file has no soname that is easily found; NULL if it cannot be opened or is
 * no shared object. Changes what a call may, and `piece`, which holds the string.
 */
export function emitSonameOf(to: Assembler): void {
  const { e_type, e_phoff, e_phnum } = Ehdr.offsetOf;
  const { p_type, p_offset, p_vaddr, p_filesz } = Phdr.offsetOf;
  to.label("soname of").push(rbx, rbp, r12, r13, r14, r15);
  to.systemCall("open", rdi, O_CLOEXEC_NONBLOCK).test(eax, eax).js("not opened");
  to.mov(eax, ebx).lea(rip("headers"), rbp);
  to.mov(rbp, rsi).mov(Ehdr.size, edx).xor(r10d, r10d).call("read piece").cmp(Ehdr.size, rax).jne("no library");
  to.cmpl(MAGIC, mem(rbp)).jne("no library");
  to.mov(mem(rbp, 4), eax).and(0xff_ffff, eax).cmp(CLASS, eax).jne("no library");
  to.cmpl(ET_DYN | (EM_X86_64 << 16), mem(rbp, e_type)).jne("no library");

  // Its program headers, from rbp to r12.
  to.movzwl(mem(rbp, e_phnum), edx).imul(Phdr.size, edx, edx).mov(mem(rbp, e_phoff), r10);
  to.cmp(HEADERS * Phdr.size, edx).ja("nameless");
  to.mov(rbp, rsi).call("read piece").cmp(rdx, rax).jne("nameless");
  to.lea(mem(rbp, 0, rdx), r12).mov(rbp, rcx);
  to.label("segment").cmp(r12, rcx).jae("nameless").cmpl(PT_DYNAMIC, mem(rcx, p_type)).je("dynamic");
  to.add(Phdr.size, rcx).jmp("segment");

  // r13: the vaddr of the strings, r14: the soname's offset in them, r15: where to read next.
  to.label("dynamic").mov(mem(rcx, p_offset), r15).xor(r13d, r13d).xor(r14d, r14d);
  to.label("entries").lea(rip("piece"), rsi).mov(PIECE, edx).mov(r15, r10).call("read piece");
  to.cmp(Dyn.size - 1, rax).jle("nameless");
  to.mov(rsi, rcx).lea(mem(rsi, -Dyn.size, rax), rdx);
  to.add(PIECE, r15);
  to.label("tag").mov(mem(rcx), rax).test(rax, rax).je("all tags");
  to.cmp(DT_STRTAB, rax).jne("no strings").mov(mem(rcx, Dyn.offsetOf.d_val), r13);
  to.label("no strings").cmp(DT_SONAME, rax).jne("no soname").mov(mem(rcx, Dyn.offsetOf.d_val), r14);
  to.label("no soname").add(Dyn.size, rcx).cmp(rdx, rcx).jle("tag").jmp("entries");

  to.label("all tags").test(r14, r14).je("nameless").mov(rbp, rcx);
  to.label("loaded segment").cmp(r12, rcx).jae("nameless").cmpl(PT_LOAD, mem(rcx, p_type)).jne("next segment");
  to.mov(r13, rax).sub(mem(rcx, p_vaddr), rax).cmp(mem(rcx, p_filesz), rax).jb("strings");
  to.label("next segment").add(Phdr.size, rcx).jmp("loaded segment");
  to.label("strings").add(mem(rcx, p_offset), rax);
  to.lea(mem(rax, 0, r14), r10);
  to.lea(rip("piece"), rsi).mov(PIECE - 1, edx);
  to.call("read piece").test(rax, rax).jle("nameless");
  to.mov(rsi, rbp).movb(0, mem(rsi, 0, rax));
  to.jmp("known soname");

  to.label("no library").xor(ebp, ebp).jmp("known soname");
  to.label("nameless").lea(rip("piece"), rbp).movb(0, mem(rbp));
  to.label("known soname").mov(ebx, edi).systemCall("close", edi).mov(rbp, rax).jmp("named");
  to.label("not opened").xor(eax, eax);
  to.label("named").pop(r15, r14, r13, r12, rbp, rbx).ret();

  // (rsi: buffer, edx: size, r10: offset in the file ebx): rax is how many bytes were read, or an error.
  to.label("read piece").mov(ebx, edi).systemCall("pread64", edi, rsi, edx, r10).ret();
}
