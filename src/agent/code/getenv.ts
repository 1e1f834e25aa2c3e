// getenv and secure_getenv as one capsule has them.

import type { Address } from "../../../lib/memory/numbers.ts";
import type { Assembler } from "../../../lib/x86-64/assembler.ts";

/**
 * `label`: what the real function finds, else what the table at `variables` (pairs of C strings, NULL at the end) says.
 */
export function emitGetenv(to: Assembler, label: string, real: Address, variables: Address): void {
  const [next, compare, skip, done] = [`${label} next`, `${label} compare`, `${label} skip`, `${label} done`];
  to.label(label)
    .op("push %rdi", 0x57)
    .rip("call *real(%rip)", `${label} real`, 0xff, 0x15)
    .op("pop %rdi", 0x5f)
    .op("test %rax,%rax", 0x48, 0x85, 0xc0)
    .to("jne", done)
    .rip("mov variables(%rip),%rsi", `${label} variables`, 0x48, 0x8b, 0x35)
    .label(next)
    .op("mov (%rsi),%rdx", 0x48, 0x8b, 0x16)
    .op("test %rdx,%rdx", 0x48, 0x85, 0xd2)
    .to("je", done) // with rax still NULL, or 0 from the comparison: see skip
    .op("xor %ecx,%ecx", 0x31, 0xc9)
    .label(compare)
    .op("movzbl (%rdi,%rcx,1),%eax", 0x0f, 0xb6, 0x04, 0x0f)
    .op("cmp (%rdx,%rcx,1),%al", 0x3a, 0x04, 0x0a)
    .to("jne", skip)
    .op("inc %rcx", 0x48, 0xff, 0xc1)
    .op("test %al,%al", 0x84, 0xc0)
    .to("jne", compare)
    .op("mov 0x8(%rsi),%rax", 0x48, 0x8b, 0x46, 0x08)
    .op("ret", 0xc3)
    .label(skip)
    .op("xor %eax,%eax", 0x31, 0xc0)
    .op("add $0x10,%rsi", 0x48, 0x83, 0xc6, 0x10)
    .to("jmp", next)
    .label(done)
    .op("ret", 0xc3)
    .align(8)
    .label(`${label} real`)
    .quad(real)
    .label(`${label} variables`)
    .quad(variables);
}
