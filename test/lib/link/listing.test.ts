// Every instruction of the code that enters programs is the one that its text says, by objdump's word.

import { afterAll, expect, test } from "bun:test";
import { emitEnter } from "../../../lib/link/enter-code.ts";
import { emitStart } from "../../../lib/link/start-code.ts";
import { emitTlsFunctions } from "../../../lib/link/tls-code.ts";
import { toAddress } from "../../../lib/memory/numbers.ts";
import { Assembler } from "../../../lib/x86-64/assembler.ts";
import { Scratch } from "../elf/scratch.ts";
import { agreement, disassemble } from "../x86-64/disassemble.ts";

const scratch = new Scratch();
afterAll(() => scratch[Symbol.dispose]());

const at = toAddress(0x7f12_3456_7000);
const emitters: Record<string, (to: Assembler) => void> = {
  "what gives a program its thread-local data": (to) => emitTlsFunctions(to, at),
  "what enters a program and comes back": (to) => emitEnter(to, at),
  "what a start image begins with": (to) =>
    emitStart(to, {
      auxiliary: new Map([[3, 0x400040n]]),
      threadPointer: at,
      resolved: [{ at, resolver: at, addend: -8 }],
      protected: [{ start: at, length: 4096, protection: 1 }],
      initializers: [at, at],
      entry: at,
      finalizers: [at],
      state: at,
      name: "program",
    }),
};

for (const [name, emit] of Object.entries(emitters)) {
  test(name, () => {
    const assembler = new Assembler();
    emit(assembler);
    const code = assembler.assemble();
    const [listed, found] = agreement(code, disassemble(code, scratch));
    expect(listed.length).toBeGreaterThan(10);
    expect(found).toEqual(listed);
  });
}
