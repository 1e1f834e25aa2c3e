// pthread_attr_setstacksize, in front of glibc's. Static TLS is taken from a thread's stack (all versions of glibc),
// and Bun has 22 KB of it: a small stack is enlarged to make up for that, or the thread could not be created.

import type { Assembler } from "../../../lib/x86-64/assembler.ts";
import { rip } from "../../../lib/x86-64/operands.ts";
import { rsi } from "../../../lib/x86-64/registers.ts";
import { emitInFront, type Find } from "./in-front.ts";

/** In bytes. */
const [PTHREAD_STACK_MIN, SMALL, ADDITION] = [0x4000, 0x1_0000, 0x8000] as const;

/** `pthread_attr_setstacksize` (attributes, size). */
export function emitStackSize(to: Assembler, find: Find): string[] {
  return emitInFront(to, ["pthread_attr_setstacksize"], find, (name, real) => {
    const go = `${name} go`;
    to.cmp(SMALL, rsi).jae(go).cmp(PTHREAD_STACK_MIN, rsi).jb(go).add(ADDITION, rsi);
    to.label(go).jmp(rip(real));
  });
}
