// The 64-bit registers by number, and the vector registers.

import { register, type Xmm } from "./operands.ts";

export const rax = register("rax", 0, 64);
export const rcx = register("rcx", 1, 64);
export const rdx = register("rdx", 2, 64);
export const rbx = register("rbx", 3, 64);
export const rsp = register("rsp", 4, 64);
export const rbp = register("rbp", 5, 64);
export const rsi = register("rsi", 6, 64);
export const rdi = register("rdi", 7, 64);
export const r8 = register("r8", 8, 64);
export const r9 = register("r9", 9, 64);
export const r10 = register("r10", 10, 64);
export const r11 = register("r11", 11, 64);
export const r12 = register("r12", 12, 64);
export const r13 = register("r13", 13, 64);
export const r14 = register("r14", 14, 64);
export const r15 = register("r15", 15, 64);

export const xmm = (number: number): Xmm => register(`xmm${number}`, number, 128);
