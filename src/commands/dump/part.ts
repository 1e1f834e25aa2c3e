// A part of a dump, and formatting that the parts share.

import type { Quantity } from "../../../lib/elf/record.ts";
import { hex } from "../../../lib/memory/numbers.ts";
import { widthsOf } from "../../diagnostics/terminal.ts";
import type { Subject } from "./subject.ts";

export interface Part {
  /** For the command's help. */
  readonly summary: string;
  /** For JSON. Undefined if the file has no such part, or it cannot be read. */
  data(subject: Subject): unknown;
  /** For people: lines, the first of which is a heading. */
  text(subject: Subject): Iterable<string>;
}

/** Formats a position or a bit pattern. */
export function digits(value: Quantity): string {
  if (typeof value === "string") return value;
  return value < 0 ? `-${hex(-value)}` : hex(value);
}

/**
 * Rows of a table, indented, each column as wide as its widest cell. Columns in `flushedRight` (indices) are
 * right-aligned.
 */
export function columns(rows: readonly (readonly string[])[], flushedRight: readonly number[] = []): string[] {
  const widths = widthsOf(rows);
  return rows.map((row) => {
    const cells = row.map((cell, i) =>
      flushedRight.includes(i) ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0),
    );
    return `  ${cells.join("  ")}`.trimEnd();
  });
}

/** `3 things`, `1 thing`. */
export const count = (number: Quantity, one: string, several = `${one}s`): string =>
  `${number} ${number === 1 ? one : several}`;
