// The 64-bit registers by number, and the vector registers.

import { register, registers, type Xmm } from "./operands.ts";

export const [rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi] = registers(64, 0, "rax rcx rdx rbx rsp rbp rsi rdi");
export const [r8, r9, r10, r11, r12, r13, r14, r15] = registers(64, 8, "r8 r9 r10 r11 r12 r13 r14 r15");

export const xmm = (number: number): Xmm => register(`xmm${number}`, number, 128);
