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

/**
 * A listing's line and an instruction in one form: labels as offsets, the operand `name(%rip)` as the label that it
 * means.
 */
export function agreement(code: Code, instructions: readonly Instruction[]): [listed: string[], found: string[]] {
  const lines = code.listing.filter((line) => !isData(line));
  const nameAt = (at: number): string[] => [...code.labels].filter(([, label]) => label === at).map(([label]) => label);
  const data = new Set(code.listing.filter(isData).map(({ at }) => at));
  const listed = lines.map(({ at, text }) => {
    const [mnemonic = "", ...rest] = text.replace(/ *#.*$/, "").split(" ");
    const operand = rest.join(" ");
    const label = code.labels.get(operand);
    return `${at}: ${label === undefined ? `${mnemonic} ${operand}`.trim() : `${mnemonic} 0x${label.toString(16)}`}`;
  });
  const found = instructions.map(({ at, text, target }, i) => {
    if (target === undefined) return `${at}: ${text}`;
    // "dlopen" for the label "dlopen address", "real" for "getenv real": the words are for the reader, the place
    // counts.
    const word = /([a-z][a-z0-9_]*)\(%rip\)/.exec(lines[i]?.text ?? "")?.[1] ?? "";
    const means = nameAt(target).some((label) => label.split(" ").includes(word));
    // what is read or jumped through is data; lea may mean code, too
    const isOutside = target < 0 || target >= code.bytes.length;
    const operand =
      means && (data.has(target) || isOutside || text.startsWith("lea ")) ? word : `0x${target.toString(16)}`;
    return `${at}: ${text.replace(/-?0x[0-9a-f]+\(%rip\)/, `${operand}(%rip)`)}`;
  });
  return [listed, found];
}
