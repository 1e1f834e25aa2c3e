// The program headers: what a loader maps.

import { PT_INTERP } from "../../../lib/elf/constants.ts";
import { flagsOf, nameOf, SEGMENT_FLAGS, SEGMENT_TYPES } from "../../../lib/elf/names.ts";
import { Phdr } from "../../../lib/elf/phdr.ts";
import { recordAt } from "../../../lib/elf/record.ts";
import { printable } from "../../diagnostics/output.ts";
import { columns, digits, type Part } from "./part.ts";
import type { Subject } from "./subject.ts";

function dataOf(subject: Subject) {
  const { phdrs, phdrTable } = subject;
  return phdrs.map(({ p_type, p_flags, p_offset, p_filesz }, i) => ({
    ...recordAt(Phdr, phdrTable, i * Phdr.size),
    p_type: nameOf(SEGMENT_TYPES, p_type),
    p_flags: flagsOf(SEGMENT_FLAGS, p_flags),
    ...(p_type === PT_INTERP ? { interpreter: subject.attempt(() => text(subject, p_offset, p_filesz)) } : {}),
  }));
}

const text = ({ file }: Subject, offset: Phdr["p_offset"], size: number): string => {
  const { buffer, byteOffset, byteLength } = file.view(offset, size, "PT_INTERP");
  return new TextDecoder().decode(new Uint8Array(buffer, byteOffset, byteLength)).replace(/\0.*$/s, "");
};

function* lines(subject: Subject): Generator<string> {
  const segments = dataOf(subject);
  yield `Program headers: ${segments.length}`;
  const rows = segments.map((segment) => [
    segment.p_type,
    modeOf(segment.p_flags),
    ...[segment.p_offset, segment.p_vaddr, segment.p_filesz, segment.p_memsz, segment.p_align].map(digits),
    // It equals p_vaddr, unless somebody set it on purpose.
    segment.p_paddr === segment.p_vaddr ? "" : `p_paddr ${digits(segment.p_paddr)}`,
  ]);
  yield* columns([["type", "mode", "offset", "vaddr", "in file", "in memory", "align"], ...rows], [2, 3, 4, 5, 6]);
  for (const { interpreter } of segments)
    if (interpreter !== undefined) yield `  interpreter ${printable(interpreter)}`;
}

/** In the style of ls(1). Flags without a letter follow. */
function modeOf(flags: readonly string[]): string {
  const letters = { PF_R: "r", PF_W: "w", PF_X: "x" };
  const mode = Object.entries(letters).map(([flag, letter]) => (flags.includes(flag) ? letter : "-"));
  return [mode.join(""), ...flags.filter((flag) => !Object.hasOwn(letters, flag))].join(" ");
}

export const segments: Part = { summary: "the program headers", data: dataOf, text: lines };
