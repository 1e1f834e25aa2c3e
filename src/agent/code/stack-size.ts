// pthread_attr_setstacksize, in front of glibc's. Static TLS is taken from a thread's
// stack (all versions of glibc), and Bun has 22 KB of it: a small stack gets as much
// more, or could not be had at all.

import type { Address } from "../../../lib/memory/numbers.ts";
import type { Assembler } from "../../../lib/x86-64/assembler.ts";

/**
 * `pthread_attr_setstacksize` (attributes, size); returns the names, which are none where there is no such function.
 */
export function emitStackSize(to: Assembler, find: (name: string) => Address | undefined): string[] {
  const name = "pthread_attr_setstacksize";
  const address = find(name);
  if (address === undefined) return [];
  to.align(8)
    .label(`real ${name}`)
    .quad(address)
    .label(name)
    .op("cmp $0x10000,%rsi", 0x48, 0x81, 0xfe, 0x00, 0x00, 0x01, 0x00)
    .to("jae", `${name} go`)
    .op("cmp $0x4000,%rsi", 0x48, 0x81, 0xfe, 0x00, 0x40, 0x00, 0x00) // PTHREAD_STACK_MIN
    .to("jb", `${name} go`)
    .op("add $0x8000,%rsi", 0x48, 0x81, 0xc6, 0x00, 0x80, 0x00, 0x00)
    .label(`${name} go`)
    .rip("jmp *real(%rip)", `real ${name}`, 0xff, 0x25);
  return [name];
}
