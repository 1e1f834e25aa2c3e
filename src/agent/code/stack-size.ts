// pthread_attr_setstacksize, in front of glibc's. Static TLS is taken from a thread's stack (all versions of glibc),
// and Bun has 22 KB of it: a small stack is enlarged to make up for that, or the thread could not be created.

import type { Address } from "../../../lib/memory/numbers.ts";
import type { Assembler } from "../../../lib/x86-64/assembler.ts";
import { rip } from "../../../lib/x86-64/operands.ts";
import { rsi } from "../../../lib/x86-64/registers.ts";

/** In bytes. */
const [PTHREAD_STACK_MIN, SMALL, ADDITION] = [0x4000, 0x1_0000, 0x8000] as const;

/** `pthread_attr_setstacksize` (attributes, size); returns the names, none if glibc has no such function. */
export function emitStackSize(to: Assembler, find: (name: string) => Address | undefined): string[] {
  const name = "pthread_attr_setstacksize";
  const address = find(name);
  if (address === undefined) return [];
  to.align(8).label(`real ${name}`).quad(address);
  to.label(name).cmp(SMALL, rsi).jae(`${name} go`);
  to.cmp(PTHREAD_STACK_MIN, rsi).jb(`${name} go`);
  to.add(ADDITION, rsi);
  to.label(`${name} go`).jmp(rip(`real ${name}`));
  return [name];
}
