// What binutils' objdump makes of machine code, and the comparison with what the code says of itself.

import type { Code } from "../../../lib/x86-64/assembler.ts";
import { run, type Scratch } from "../elf/scratch.ts";

export interface Instruction {
  readonly at: number;
  /** As objdump prints it, with one space behind the mnemonic and without comments. */
  readonly text: string;
  /** Where a `displacement(%rip)` leads. */
  readonly target: number | undefined;
}

type Line = Code["listing"][number];

/** Lines without machine code: .quad and .space. */
const isData = ({ text }: Line): boolean => text.startsWith(".");

/** Data between instructions would put objdump out of step, so each run of instructions is disassembled alone. */
export function disassemble(code: Code, scratch: Scratch): Instruction[] {
  const file = scratch.write("code.bin", code.bytes);
  const instructions: Instruction[] = [];
  const { listing } = code;
  for (let i = 0; i < listing.length; i++) {
    const first = listing[i] as Line;
    if (isData(first)) continue;
    while (i < listing.length && !isData(listing[i] as Line)) i++;
    const end = listing[i]?.at ?? code.bytes.length;
    const range = [`--start-address=${first.at}`, `--stop-address=${end}`];
    const output = run([
      "objdump",
      "-D",
      "-b",
      "binary",
      "-m",
      "i386:x86-64",
      "-w",
      "--no-show-raw-insn",
      ...range,
      file,
    ]);
    for (const [, at = "", text = "", comment] of output.matchAll(
      /^ *([0-9a-f]+):\t([^#\n]+?) *(?:# 0x([0-9a-f]+))?$/gm,
    ))
      instructions.push({
        at: Number.parseInt(at, 16),
        text: text.replace(/ +/, " "),
        // what lies before the code has a negative one
        target: comment === undefined ? undefined : Number(BigInt.asIntN(64, BigInt(`0x${comment}`))),
      });
  }
  return instructions;
}

const hex = (at: number): string => `${at < 0 ? "-" : ""}0x${Math.abs(at).toString(16)}`;

/** A listing's lines and instructions in one form: labels as offsets, also where `(%rip)` is behind them. */
export function agreement(code: Code, instructions: readonly Instruction[]): [listed: string[], found: string[]] {
  const placeOf = (label: string): string => hex(code.labels.get(label) ?? Number.NaN);
  const listed = code.listing
    .filter((line) => !isData(line))
    .map(({ at, text }) => {
      const jump = /^((?:j[a-z]+|call) )([^*].*)$/.exec(text);
      if (jump) return `${at}: ${jump[1]}${placeOf(jump[2] ?? "")}`;
      const [, before = "", label = "", behind = ""] = /^((?:lock )?\S+ \*?|.*,)([^,]+)(\(%rip\).*)$/.exec(text) ?? [];
      return `${at}: ${label === "" ? text : before + placeOf(label) + behind}`;
    });
  const found = instructions.map(({ at, text, target }) =>
    target === undefined ? `${at}: ${text}` : `${at}: ${text.replace(/-?0x[0-9a-f]+\(%rip\)/, `${hex(target)}(%rip)`)}`,
  );
  return [listed, found];
}
