// The relocations: place, type and value. A library may have hundreds of thousands (libLLVM: 380,000), so lines are
// generated one at a time, and repeated text, such as a symbol with its version, is made once.

import { DT_JMPREL, DT_RELA, DT_RELR, R_X86_64_RELATIVE } from "../../../lib/elf/constants.ts";
import { ElfError } from "../../../lib/elf/error.ts";
import type { FileImage } from "../../../lib/elf/file.ts";
import { nameOf, RELOCATION_TYPES } from "../../../lib/elf/names.ts";
import { type Quantity, quantityAt, signedAt } from "../../../lib/elf/record.ts";
import { Rela, type RelaTable } from "../../../lib/elf/rela.ts";
import { hex } from "../../../lib/memory/numbers.ts";
import { printable } from "../../diagnostics/output.ts";
import { digits, type Part } from "./part.ts";
import { type Subject, UNREADABLE } from "./subject.ts";
import { SymbolNames } from "./symbol-names.ts";

const SLOT = 8;
const TABLES = [
  ["DT_RELA", DT_RELA, (image: FileImage) => image.rela],
  ["DT_JMPREL", DT_JMPREL, (image: FileImage) => image.jmprel],
] as const;

/** `rela` is undefined if it cannot be read. */
function tablesOf(subject: Subject, image: FileImage) {
  return TABLES.flatMap(([name, tag, read]) => {
    const at = subject.valueOf(tag);
    return at === undefined ? [] : [{ name, at, rela: subject.attempt(() => read(image)) }];
  });
}

/** The packed relocations: each slot and its content, which serves as the addend. Throws ElfError. */
function* packedOf({ path, relr, bytes }: FileImage): Generator<{ r_offset: number; value: Quantity }> {
  for (const slot of relr) {
    if (!Number.isFinite(slot)) throw new ElfError(path, "DT_RELR", "a slot is beyond the address space");
    yield { r_offset: slot, value: quantityAt(bytes.view(slot, SLOT, "slot of DT_RELR"), 0) };
  }
}

interface Relocation {
  readonly r_offset: Quantity;
  readonly r_type: string;
  readonly r_sym: number;
  /** name@@VERSION. Null if it cannot be read. */
  readonly symbol?: string | null;
  readonly r_addend: Quantity;
}

function* entriesOf({ view, length }: RelaTable, names: SymbolNames): Generator<Relocation> {
  const { r_offset: place, r_type: type, r_sym: symbol, r_addend: addend } = Rela.offsetOf;
  for (let i = 0, at = 0; i < length; i++, at += Rela.size) {
    const r_sym = view.getUint32(at + symbol, true);
    const entry = {
      r_offset: quantityAt(view, at + place),
      r_type: nameOf(RELOCATION_TYPES, view.getUint32(at + type, true)),
      r_sym,
      r_addend: signedAt(view, at + addend),
    };
    yield r_sym === 0 ? entry : { ...entry, symbol: names.of(r_sym) ?? null };
  }
}

function dataOf(subject: Subject) {
  const { image } = subject;
  if (!image) return undefined;
  const names = new SymbolNames(subject, image);
  const tables = tablesOf(subject, image).map(({ name, rela }) => [name, rela ? [...entriesOf(rela, names)] : null]);
  const packed = subject.attempt(() => [...packedOf(image)]) ?? null;
  return { ...Object.fromEntries(tables), ...(subject.valueOf(DT_RELR) === undefined ? {} : { DT_RELR: packed }) };
}

function* lines(subject: Subject): Generator<string> {
  const { image } = subject;
  if (!image) {
    yield `Relocations: ${subject.absence}`;
    return;
  }
  const names = new SymbolNames(subject, image);
  const width = hex(image.end).length;
  const tables = tablesOf(subject, image).map((table) => linesOf(table, names, width));
  const at = subject.valueOf(DT_RELR);
  if (at !== undefined) tables.push(packedLines(subject, image, at, width));
  if (tables.length === 0) yield "Relocations: none";
  for (const [i, table] of tables.entries()) {
    if (i > 0) yield "";
    yield* table;
  }
}

function* packedLines(subject: Subject, image: FileImage, at: Quantity, width: number): Generator<string> {
  const packed = subject.attempt(() => [...packedOf(image)]);
  yield `Relocations, DT_RELR at vaddr ${digits(at)}: ${packed?.length ?? UNREADABLE}`;
  for (const { r_offset, value } of packed ?? [])
    yield `  ${hex(r_offset).padEnd(width)}  ${nameOf(RELOCATION_TYPES, R_X86_64_RELATIVE)}  ${digits(value)}`;
}

type Table = ReturnType<typeof tablesOf>[number];

function* linesOf({ name, at, rela }: Table, names: SymbolNames, width: number): Generator<string> {
  yield `Relocations, ${name} at vaddr ${digits(at)}: ${rela?.length ?? UNREADABLE}`;
  if (!rela || rela.length === 0) return;
  const counts = countsOf(rela);
  yield `  ${counts.map(([type, number]) => `${number} ${type}`).join(", ")}`;
  const typeWidth = Math.max(...counts.map(([type]) => type.length));
  for (const { r_offset, r_type, symbol, r_sym, r_addend } of entriesOf(rela, names)) {
    const name = symbol ? printable(symbol) : `symbol ${r_sym}`;
    const target = r_sym === 0 ? digits(r_addend) : withAddend(name, r_addend);
    yield `  ${digits(r_offset).padEnd(width)}  ${r_type.padEnd(typeWidth)}  ${target}`;
  }
}

function withAddend(name: string, addend: Quantity): string {
  if (addend === 0) return name;
  const text = digits(addend);
  return text.startsWith("-") ? `${name} - ${text.slice(1)}` : `${name} + ${text}`;
}

/** The number of relocations of each type, most frequent first. */
function countsOf({ view, length }: RelaTable): [type: string, count: number][] {
  const counts = new Map<number, number>();
  for (let i = 0, at: number = Rela.offsetOf.r_type; i < length; i++, at += Rela.size) {
    const type = view.getUint32(at, true);
    counts.set(type, (counts.get(type) ?? 0) + 1);
  }
  return [...counts]
    .sort(([, one], [, other]) => other - one)
    .map(([type, count]) => [nameOf(RELOCATION_TYPES, type), count]);
}

export const relocations: Part = { summary: "all relocations", data: dataOf, text: lines };
