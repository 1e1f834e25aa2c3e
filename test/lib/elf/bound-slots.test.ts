// Slots of a loaded image, read as another process's memory is: a piece at a time.

import { describe, expect, test } from "bun:test";
import { eachBoundSlot } from "../../../lib/elf/bound-slots.ts";
import type { LoadedImage } from "../../../lib/elf/loaded.ts";
import { RelaTable } from "../../../lib/elf/rela.ts";
import type { Vaddr } from "../../../lib/memory/numbers.ts";
import { viewOf, word, xword } from "./bytes.ts";

const [R_64, GLOB_DAT, JUMP_SLOT, RELATIVE] = [1, 6, 7, 8];
const relocation = (offset: number, type: number, symbol: number, addend = 0) => [
  ...[...xword(offset), ...word(type), ...word(symbol), ...xword(addend)],
];

/** Where the writable segment's bytes from the file begin and end; what follows them is zero. */
const [START, END] = [0x1000, 0x9000];

/** An image in which the slot at a vaddr holds 16 times the vaddr. What is read of its memory is in `read`. */
function imageWith(rela: number[][], jmprel: number[][]) {
  const read: [vaddr: number, length: number][] = [];
  const segment = { p_flags: 6, p_vaddr: START, p_filesz: END - START, p_memsz: 0x10000 };
  const view = (vaddr: number, length: number): DataView => {
    read.push([vaddr, length]);
    const view = new DataView(new ArrayBuffer(length));
    for (let at = 0; at + 8 <= length; at += 8) view.setBigUint64(at, BigInt(16 * (vaddr + at)), true);
    return view;
  };
  const tables = { symbolicRela: new RelaTable(viewOf(...rela)), jmprel: new RelaTable(viewOf(...jmprel)) };
  const loads = [{ ...segment, p_flags: 4, p_vaddr: 0, p_filesz: START }, segment];
  return { image: { ...tables, loads, bytes: { view } } as unknown as LoadedImage, read };
}

function visited(image: LoadedImage, tables: "objects" | "calls" | "all", values?: ReadonlySet<number>) {
  const slots: (readonly [value: number, at: number, addend: number, symbol: number, isCall: boolean])[] = [];
  const count = eachBoundSlot(
    image,
    tables,
    (value, at: Vaddr, addend, symbol, isCall) => slots.push([value, at, addend, symbol, isCall]),
    values,
  );
  return { slots, count };
}

const rela = [
  relocation(START, GLOB_DAT, 5),
  relocation(START + 8, R_64, 6, -24),
  relocation(START + 16, RELATIVE, 0, 0x1234),
];
const jmprel = [relocation(START + 32, JUMP_SLOT, 7, 99)];

describe("eachBoundSlot()", () => {
  test("has each slot's value less its addend, which only R_X86_64_64 has", () => {
    const objects = [
      [16 * START, START, 0, 5, false],
      [16 * (START + 8) + 24, START + 8, -24, 6, false],
    ] as const;
    const calls = [[16 * (START + 32), START + 32, 0, 7, true]] as const;
    const { image } = imageWith(rela, jmprel);
    expect(visited(image, "objects")).toEqual({ slots: [...objects], count: 2 });
    expect(visited(image, "calls")).toEqual({ slots: [...calls], count: 1 });
    expect(visited(image, "all")).toEqual({ slots: [...objects, ...calls], count: 3 });
  });

  test("visits only those that hold one of some values, and counts all", () => {
    const { image } = imageWith(rela, jmprel);
    const { slots, count } = visited(image, "all", new Set([16 * (START + 8) + 24]));
    expect(slots.map(([, at]) => at)).toEqual([START + 8]);
    expect(count).toBe(3);
  });

  test("copies what is adjacent at once, and nothing behind the bytes of the file", () => {
    const slots = [START, START + 8, START + 16376, START + 16384, END - 8];
    const { image, read } = imageWith(
      slots.map((at) => relocation(at, GLOB_DAT, 1)),
      [],
    );
    expect(visited(image, "all").slots.map(([value]) => value)).toEqual(slots.map((at) => 16 * at));
    expect(read).toEqual([
      [START, 16384],
      [START + 16384, END - START - 16384],
    ]);
  });

  test("reads a slot alone that is in no such bytes, or goes back", () => {
    const slots = [START + 64, START, END - 4, END + 64];
    const { image, read } = imageWith(
      slots.map((at) => relocation(at, GLOB_DAT, 1)),
      [],
    );
    expect(visited(image, "all").slots.map(([value]) => value)).toEqual(slots.map((at) => 16 * at));
    expect(read).toEqual([
      [START + 64, 16384],
      [START, 16384],
      [END - 4, 8],
      [END + 64, 8],
    ]);
  });
});
