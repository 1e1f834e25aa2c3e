// Instructions as objdump prints them, in AT&T syntax.

import { type Memory, type Register, textOfPlace } from "./operands.ts";

export type Operand = Register<number> | Memory | number | bigint | string | undefined;

/** Items in a line: where it is, the mnemonic (".quad" and ".space" for data), and up to three operands. */
export const LINE_WORDS = 5;

/** Listed with the instruction that follows. */
const PREFIXES = ["lock", "rep"];
const SUFFIXES: Readonly<Record<string, number>> = { b: 8, w: 16, l: 32, q: 64 };

export function listingOf(lines: readonly Operand[]): { readonly at: number; readonly text: string }[] {
  const listing: { at: number; text: string }[] = [];
  for (let i = 0; i < lines.length; i += LINE_WORDS) {
    const at = Number(lines[i]);
    const isPrefix = PREFIXES.includes(`${lines[i + 1]}`);
    const text = isPrefix ? `${lines[i + 1]} ${textOf(lines, i + LINE_WORDS)}` : textOf(lines, i);
    if (isPrefix) i += LINE_WORDS;
    listing.push({ at, text });
  }
  return listing;
}

/** The text of the line that starts at item `first`. */
export function textOf(lines: readonly Operand[], first: number): string {
  const [, mnemonic, ...operands] = lines.slice(first, first + LINE_WORDS);
  const name = `${mnemonic}`;
  const size = operands.reduce<number | undefined>(
    (before, operand) => (typeof operand === "object" ? operand.size : undefined) ?? before,
    undefined,
  );
  // A pushed number has 64 bits.
  const bits = size ?? (name === "push" ? 64 : (SUFFIXES[name.at(-1) ?? ""] ?? 64));
  const star = name === "jmp" || name === "call" ? "*" : "";
  const texts = operands.flatMap((operand) => {
    if (operand === undefined) return [];
    if (typeof operand === "string") return [operand];
    if (typeof operand === "object")
      return [star + (operand.size === undefined ? textOfPlace(operand) : `%${operand.name}`)];
    if (name === ".space" || !Number.isInteger(Number(operand))) return [`${operand}`];
    return [`${name === ".quad" ? "" : "$"}0x${BigInt.asUintN(bits, BigInt(operand)).toString(16)}`];
  });
  return `${name} ${texts.join(",")}`.trim();
}
