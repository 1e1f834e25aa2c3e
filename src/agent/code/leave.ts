// pthread_exit by the main thread. A process ends with its last thread, but Bun's
// threads never end: the server has to hear that nobody waits in main any more.

import type { Address } from "../../../lib/memory/numbers.ts";
import type { Assembler } from "../../../lib/x86-64/assembler.ts";
import { Kind } from "../protocol.ts";
import { ask } from "./ask.ts";
import { systemCall } from "./system-call.ts";

/** Those that there are, each at a label of its name; returns the names. Needs emitAgent's `request`. */
export function emitLeavingFunctions(to: Assembler, find: (name: string) => Address | undefined): string[] {
  const names: string[] = [];
  for (const name of ["pthread_exit", "thrd_exit"]) {
    const address = find(name);
    if (address === undefined) continue;
    const [real, other] = [`real ${name}`, `${name} other`];
    to.align(8).label(real).quad(address).label(name);
    systemCall(to, "getpid", 39);
    to.op("mov %eax,%r10d", 0x41, 0x89, 0xc2);
    systemCall(to, "gettid", 186);
    to.op("cmp %eax,%r10d", 0x41, 0x39, 0xc2).to("jne", other);
    ask(to, Kind.leave, real);
    to.label(other).rip("jmp *real(%rip)", real, 0xff, 0x25);
    names.push(name);
  }
  return names;
}
