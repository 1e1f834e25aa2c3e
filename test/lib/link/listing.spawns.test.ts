// Every instruction of the code that enters programs is the one that its text says, by objdump's word.

import { afterAll, expect, test } from "bun:test";
import { emitStart } from "../../../lib/link/start-code.ts";
import { emitTakeOver } from "../../../lib/link/take-over-code.ts";
import { emitTlsFunctions } from "../../../lib/link/tls-code.ts";
import { toAddress } from "../../../lib/memory/numbers.ts";
import { Assembler } from "../../../lib/x86-64/assembler.ts";
import { Scratch } from "../elf/scratch.ts";
import { agreement, disassemble } from "../x86-64/disassemble.ts";

const scratch = new Scratch();
afterAll(() => scratch[Symbol.dispose]());

const at = toAddress(0x7f12_3456_7000);
const range = { start: at, length: 4096, protection: 1 };
const emitters: Record<string, (to: Assembler) => void> = {
  "what gives a program its thread-local data": (to) => emitTlsFunctions(to, at),
  "what turns a process into a program's": (to) => emitTakeOver(to, 125, Buffer.from("no\n")),
  "what a start image begins with": (to) =>
    emitStart(to, {
      auxiliary: new Map([[3, 0x400040n]]),
      threadPointer: at,
      zeroes: [range],
      areas: [range, range],
      steps: [
        { kind: "copy", from: at, to: at, length: 8 },
        { kind: "copy", from: at, to: at, length: 8 },
      ],
      relro: [range],
      initializers: [
        { address: at, at: undefined },
        { address: at, at },
      ],
      entry: at,
      finalizers: [{ address: at, at }],
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
