// The low 32 and 8 bits of the registers, by number. Writing the low 32 clears the upper half.

import { register } from "./operands.ts";

export const eax = register("eax", 0, 32);
export const ecx = register("ecx", 1, 32);
export const edx = register("edx", 2, 32);
export const ebx = register("ebx", 3, 32);
export const esp = register("esp", 4, 32);
export const ebp = register("ebp", 5, 32);
export const esi = register("esi", 6, 32);
export const edi = register("edi", 7, 32);
export const r8d = register("r8d", 8, 32);
export const r9d = register("r9d", 9, 32);
export const r10d = register("r10d", 10, 32);
export const r11d = register("r11d", 11, 32);
export const r12d = register("r12d", 12, 32);
export const r13d = register("r13d", 13, 32);
export const r14d = register("r14d", 14, 32);
export const r15d = register("r15d", 15, 32);

export const al = register("al", 0, 8);
export const cl = register("cl", 1, 8);
export const dl = register("dl", 2, 8);
export const bl = register("bl", 3, 8);
export const spl = register("spl", 0x44, 8);
export const bpl = register("bpl", 0x45, 8);
export const sil = register("sil", 0x46, 8);
export const dil = register("dil", 0x47, 8);
export const r8b = register("r8b", 8, 8);
export const r9b = register("r9b", 9, 8);
export const r10b = register("r10b", 10, 8);
export const r11b = register("r11b", 11, 8);
export const r12b = register("r12b", 12, 8);
export const r13b = register("r13b", 13, 8);
export const r14b = register("r14b", 14, 8);
export const r15b = register("r15b", 15, 8);
