// getenv and secure_getenv as one capsule sees them.

import type { Address } from "../../../lib/memory/numbers.ts";
import type { Assembler } from "../../../lib/x86-64/assembler.ts";
import { al, eax, ecx } from "../../../lib/x86-64/narrow-registers.ts";
import { mem, rip } from "../../../lib/x86-64/operands.ts";
import { rax, rcx, rdi, rdx, rsi } from "../../../lib/x86-64/registers.ts";

/**
 * `label`: returns what the real function finds, else the value in the table at `variables` (pairs of C strings,
 * NULL-terminated).
 */
export function emitGetenv(to: Assembler, label: string, real: Address, variables: Address): void {
  const [next, compare, skip, done] = [`${label} next`, `${label} compare`, `${label} skip`, `${label} done`];
  to.label(label).push(rdi);
  to.call(rip(`${label} real`)).pop(rdi);
  to.test(rax, rax).jne(done);
  to.mov(rip(`${label} variables`), rsi);
  to.label(next).mov(mem(rsi), rdx).test(rdx, rdx).je(done); // rax is still NULL, or 0 from the comparison: see skip
  to.xor(ecx, ecx);
  to.label(compare).movzbl(mem(rdi, 0, rcx), eax);
  to.cmp(mem(rdx, 0, rcx), al).jne(skip);
  to.inc(rcx).test(al, al).jne(compare);
  to.mov(mem(rsi, 8), rax).ret();
  to.label(skip).xor(eax, eax).add(16, rsi).jmp(next);
  to.label(done).ret();
  to.align(8).quads({ [`${label} real`]: real, [`${label} variables`]: variables });
}
