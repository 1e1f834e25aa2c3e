// The machine code of a placeholder: it asks for the real library to be put in its place, and handles calls of
// functions that are not linked yet. A function of the source is
//
//   push $INDEX    of its symbol
//   jmp missing
//
// and `missing` asks too: a function may be called before the initializers have run (from DT_PREINIT_ARRAY, or from a
// library that does not declare its dependencies). If the object's own symbol table then has the function's address, it
// continues there.

import type { Assembler } from "../../x86-64/assembler.ts";
import { cl, ecx } from "../../x86-64/narrow-registers.ts";
import { mem, rip } from "../../x86-64/operands.ts";
import { r8, r9, rax, rcx, rdi, rdx, rsi, rsp, xmm } from "../../x86-64/registers.ts";
import { STT_GNU_IFUNC } from "../constants.ts";
import { Sym } from "../sym.ts";

interface PlaceholderCodeOptions {
  /**
   * Distances in bytes from the start of the code to the ELF header, DT_SYMTAB, DT_STRTAB, and the slot with the
   * attaching function.
   */
  readonly header: number;
  readonly symbols: number;
  readonly strings: number;
  readonly slot: number;
  /** How many stubs follow the code. */
  readonly stubs: number;
  /** Text before and after the name. */
  readonly before: Uint8Array;
  readonly after: Uint8Array;
  readonly status: number;
}

/** Emits `init` and `missing`. */
export function emitPlaceholderCode(to: Assembler, options: PlaceholderCodeOptions): void {
  const { before, after, status } = options;
  const { st_name, st_value, st_info } = Sym.offsetOf;
  const size = options.stubs * STUB_SIZE;
  const index = mem(rsp, VECTORS + 8 + 8 * PASSED.length);
  to.outside("header", options.header)
    .outside("symbols", options.symbols)
    .outside("strings", options.strings)
    .outside("slot", options.slot);

  // (argc, argv, envp) are not used
  to.label("init").lea(rip("header"), rdi).jmp(rip("slot")).align(16);

  // (%rsp): the symbol's index. The caller's arguments are preserved.
  to.label("missing")
    .push(...PASSED)
    .sub(VECTORS + 8, rsp);
  for (let i = 0; i < 8; i++) to.movups(xmm(i), mem(rsp, 16 * i));
  to.lea(rip("header"), rdi).call(rip("slot"));
  // 24 bytes per symbol
  to.mov(index, rax).lea(mem(rax, 0, rax, 2), rax);
  to.lea(rip("symbols"), rcx).lea(mem(rcx, 0, rax, 8), rcx);
  to.mov(mem(rcx, st_value), rax).lea(rip("header"), rdx).add(rdx, rax);
  // still a stub?
  to.lea(rip("stubs"), rdx).mov(rax, rsi).sub(rdx, rsi).cmp(size, rsi).jb("tell");
  to.mov(mem(rcx, st_info), cl).and(0xf, cl).cmp(STT_GNU_IFUNC, cl).jne("found").call(rax);
  // the function's address replaces the index, so that ret jumps there
  to.label("found").mov(rax, index);
  for (let i = 0; i < 8; i++) to.movups(mem(rsp, 16 * i), xmm(i));
  to.add(VECTORS + 8, rsp)
    .pop(...PASSED.toReversed())
    .ret();
  to.label("tell").mov(mem(rcx, st_name), ecx).lea(rip("strings"), rax).add(rcx, rax).xor(ecx, ecx);
  to.label("count");
  to.cmpb(0, mem(rax, 0, rcx)).je("write");
  to.inc(rcx).jmp("count");
  // three struct iovec, the last one first
  to.label("write").push(after.length).lea(rip("after"), rdx).push(rdx, rcx, rax);
  to.push(before.length).lea(rip("before"), rdx).push(rdx);
  to.systemCall("writev", STDERR, rsp, 3).systemCall("exit_group", status).hlt();
  to.label("before").data(before).label("after").data(after).align(STUB_SIZE).label("stubs");
}

/** The argument registers besides the vectors, and al, which has the number of vectors. */
const PASSED = [rdi, rsi, rdx, rcx, r8, r9, rax];
/** Eight vectors, in bytes. */
const VECTORS = 8 * 16;
const STDERR = 2;

export const STUB_SIZE = 16;
const PUSH = 0x68;
const JUMP = 0xe9;
const TRAP = 0xcc;

/** A stub for each symbol, `distance` bytes after `missing`. Not by the assembler, as there are thousands. */
export function stubs(symbols: readonly number[], distance: number): Uint8Array {
  const bytes = new Uint8Array(symbols.length * STUB_SIZE).fill(TRAP);
  const view = new DataView(bytes.buffer);
  symbols.forEach((symbol, i) => {
    const at = i * STUB_SIZE;
    bytes[at] = PUSH;
    view.setInt32(at + 1, symbol, true);
    bytes[at + 5] = JUMP;
    view.setInt32(at + 6, -(distance + at + 10), true);
  });
  return bytes;
}
