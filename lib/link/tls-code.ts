// What code that was compiled for any model of thread-local data calls of a linker: here
// all blocks are in static TLS, below the thread pointer (fs:0 says where that is), so
// that a block's distance from it is all that there is to know.

import type { Assembler } from "../x86-64/assembler.ts";
import { fs, mem, rip } from "../x86-64/operands.ts";
import { rax, rdi, rdx } from "../x86-64/registers.ts";

/** In front of the functions that are emitted. */
export const TLS_GET_ADDR = "__tls_get_addr";

/**
 * `__tls_get_addr` (a module's number, and an offset into its block) for the general dynamic model; `static descriptor`
 * and `undefined descriptor` for TLSDESC, which have the descriptor in rax and change nothing else. The quads at
 * `distances` are for each module, from 0 on, how far below the thread pointer its block begins: `table` is where they
 * will be.
 */
export function emitTlsFunctions(to: Assembler, table: number): void {
  to.label(TLS_GET_ADDR).mov(mem(rdi), rax).mov(rip("tls table"), rdx);
  to.mov(mem(rdx, 0, rax, 8), rdx);
  to.mov(fs(0), rax).sub(rdx, rax).add(mem(rdi, 8), rax).ret();
  to.align(16).label("static descriptor").mov(mem(rax, 8), rax).ret();
  to.align(16).label("undefined descriptor").mov(mem(rax, 8), rax).sub(fs(0), rax).ret();
  to.align(8).label("tls table").quad(table);
}
