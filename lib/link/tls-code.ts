// What code that was compiled for any model of thread-local data calls of a linker: here
// all blocks are in static TLS, below the thread pointer (fs:0 says where that is), so
// that a block's distance from it is all that there is to know.

import type { Assembler } from "../x86-64/assembler.ts";

/** In front of the functions that are emitted. */
export const TLS_GET_ADDR = "__tls_get_addr";

/**
 * `__tls_get_addr` (a module's number, and an offset into its block) for the general dynamic model; `static descriptor`
 * and `undefined descriptor` for TLSDESC, which have the descriptor in rax and change nothing else. The quads at
 * `distances` are for each module, from 0 on, how far below the thread pointer its block begins: `table` is where they
 * will be.
 */
export function emitTlsFunctions(to: Assembler, table: number): void {
  to.label(TLS_GET_ADDR)
    .op("mov (%rdi),%rax", 0x48, 0x8b, 0x07)
    .rip("mov table(%rip),%rdx", "tls table", 0x48, 0x8b, 0x15)
    .op("mov (%rdx,%rax,8),%rdx", 0x48, 0x8b, 0x14, 0xc2)
    .op("mov %fs:0x0,%rax", 0x64, 0x48, 0x8b, 0x04, 0x25, 0, 0, 0, 0)
    .op("sub %rdx,%rax", 0x48, 0x29, 0xd0)
    .op("add 0x8(%rdi),%rax", 0x48, 0x03, 0x47, 0x08)
    .op("ret", 0xc3)
    .align(16)
    .label("static descriptor")
    .op("mov 0x8(%rax),%rax", 0x48, 0x8b, 0x40, 0x08)
    .op("ret", 0xc3)
    .align(16)
    .label("undefined descriptor")
    .op("mov 0x8(%rax),%rax", 0x48, 0x8b, 0x40, 0x08)
    .op("sub %fs:0x0,%rax", 0x64, 0x48, 0x2b, 0x04, 0x25, 0, 0, 0, 0)
    .op("ret", 0xc3)
    .align(8)
    .label("tls table")
    .quad(table);
}
