// The low 32 and 8 bits of the registers, by number. Writing the low 32 clears the upper half.

import { registers } from "./operands.ts";

export const [eax, ecx, edx, ebx, esp, ebp, esi, edi] = registers(32, 0, "eax ecx edx ebx esp ebp esi edi");
export const [r8d, r9d, r10d, r11d, r12d, r13d, r14d, r15d] = registers(32, 8, "r8d r9d r10d r11d r12d r13d r14d r15d");

export const [al, cl, dl, bl] = registers(8, 0, "al cl dl bl");
export const [spl, bpl, sil, dil] = registers(8, 0x44, "spl bpl sil dil");
export const [r8b, r9b, r10b, r11b, r12b, r13b, r14b, r15b] = registers(8, 8, "r8b r9b r10b r11b r12b r13b r14b r15b");
