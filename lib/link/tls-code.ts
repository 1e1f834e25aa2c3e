// The linker functions that code of any TLS model calls. Here all blocks are in static TLS, below the thread pointer
// (whose value is at fs:0), so a block's distance from it is all that matters.

import type { Assembler } from "../x86-64/assembler.ts";
import { fs, mem, rip } from "../x86-64/operands.ts";
import { rax, rdi, rdx } from "../x86-64/registers.ts";

/** The label of the emitted functions' start. */
export const TLS_GET_ADDR = "__tls_get_addr";

/**
 * `__tls_get_addr` (a module's number, and an offset into its block) for the general dynamic model; `static descriptor`
 * and `undefined descriptor` for TLSDESC, which take the descriptor in rax and change no other register. `table` is the
 * future address of the distances: a quad per module, from 0 on, with its block's start in bytes below the thread
 * pointer.
 */
export function emitTlsFunctions(to: Assembler, table: number): void {
  to.label(TLS_GET_ADDR).mov(mem(rdi), rax).mov(rip("tls table"), rdx);
  to.mov(mem(rdx, 0, rax, 8), rdx);
  to.mov(fs(0), rax).sub(rdx, rax).add(mem(rdi, 8), rax).ret();
  to.align(16).label("static descriptor").mov(mem(rax, 8), rax).ret();
  to.align(16).label("undefined descriptor").mov(mem(rax, 8), rax).sub(fs(0), rax).ret();
  to.align(8).label("tls table").quad(table);
}
