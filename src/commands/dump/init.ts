// Functions that run when the file is loaded and unloaded: DT_INIT, DT_FINI and the arrays. An array's slots in the
// file hold only what the linker leaves there (lld: nothing). If relocations have addends, these give the function.

import {
  DT_FINI,
  DT_FINI_ARRAY,
  DT_FINI_ARRAYSZ,
  DT_INIT,
  DT_INIT_ARRAY,
  DT_INIT_ARRAYSZ,
  DT_PREINIT_ARRAY,
  DT_PREINIT_ARRAYSZ,
} from "../../../lib/elf/constants.ts";
import type { FileImage } from "../../../lib/elf/file.ts";
import { type Quantity, quantityAt, signedAt } from "../../../lib/elf/record.ts";
import { Rela } from "../../../lib/elf/rela.ts";
import { toVaddr } from "../../../lib/memory/numbers.ts";
import { printable } from "../../diagnostics/output.ts";
import { columns, digits, type Part } from "./part.ts";
import { type Subject, UNREADABLE } from "./subject.ts";
import { SymbolNames } from "./symbol-names.ts";

/** Tags of functions, and those of arrays with the tags of their sizes. */
const TAGS = [
  ["DT_INIT", DT_INIT],
  ["DT_FINI", DT_FINI],
  ["DT_PREINIT_ARRAY", DT_PREINIT_ARRAY, DT_PREINIT_ARRAYSZ],
  ["DT_INIT_ARRAY", DT_INIT_ARRAY, DT_INIT_ARRAYSZ],
  ["DT_FINI_ARRAY", DT_FINI_ARRAY, DT_FINI_ARRAYSZ],
] as const;
const SLOT = 8;

/** A function's vaddr, or its symbol's name if symbol lookup determines the function. */
interface Slot {
  readonly vaddr?: Quantity;
  readonly symbol?: string;
}

type Data = Partial<Record<string, readonly Slot[] | null>>;

function dataOf(subject: Subject): Data | undefined {
  const { image } = subject;
  if (!image) return undefined;
  const data: Record<string, readonly Slot[] | null> = {};
  const names = new SymbolNames(subject, image);
  for (const [name, tag, sizeTag] of TAGS) {
    const vaddr = subject.valueOf(tag);
    const at = image.dynamic.get(tag);
    if (vaddr === undefined || at === undefined) continue;
    const size = sizeTag && (image.dynamic.get(sizeTag) ?? 0);
    data[name] = size === undefined ? [{ vaddr }] : (subject.attempt(() => slotsOf(image, at, size, names)) ?? null);
  }
  return data;
}

function slotsOf(image: FileImage, at: number, size: number, names: SymbolNames): Slot[] {
  if (size === 0) return [];
  const view = image.bytes.view(toVaddr(at), size, "array of functions");
  const slots: Slot[] = [];
  for (let offset = 0; offset + SLOT <= size; offset += SLOT) slots.push({ vaddr: quantityAt(view, offset) });
  const { view: rela, length } = image.rela;
  // Hot: libLLVM has 380,000 relocations, in no order that would allow a search.
  for (let i = 0, entry = 0; i < length; i++, entry += Rela.size) {
    const low = rela.getUint32(entry, true);
    const place = rela.getUint32(entry + 4, true) * 2 ** 32 + low - at;
    if (!(place >= 0 && place < size) || place % SLOT !== 0) continue;
    const symbol = rela.getUint32(entry + Rela.offsetOf.r_sym, true);
    slots[place / SLOT] =
      symbol === 0
        ? { vaddr: signedAt(rela, entry + Rela.offsetOf.r_addend) }
        : { symbol: names.of(symbol) ?? `symbol ${symbol}` };
  }
  return slots;
}

function* lines(subject: Subject): Generator<string> {
  const data = dataOf(subject);
  const entries = Object.entries(data ?? {});
  const remark = data ? "none" : subject.absence;
  yield `Functions that run when it is loaded and unloaded${entries.length === 0 ? `: ${remark}` : ""}`;
  const rows = entries.map(([name, slots]) => {
    const texts = slots?.map(textOf) ?? [UNREADABLE];
    return (texts.length > 0 ? texts : ["empty"]).map((text, i) => [i === 0 ? name : "", text]);
  });
  yield* columns(rows.flat());
}

const textOf = ({ vaddr = "?", symbol }: Slot): string => (symbol === undefined ? digits(vaddr) : printable(symbol));

export const init: Part = { summary: "what runs when it is loaded and unloaded", data: dataOf, text: lines };
