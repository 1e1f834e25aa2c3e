// Relocations with addend (gABI, "Relocation"; x86-64 psABI, "Relocation Types").

import { i64, layout, type Struct, u32, u64 } from "../memory/layout.ts";
import type { Vaddr } from "../memory/numbers.ts";

export const Rela = layout("Elf64_Rela", {
  r_offset: u64<Vaddr>(),
  // the two halves of r_info
  r_type: u32,
  r_sym: u32,
  r_addend: i64,
});
export type Rela = Struct<typeof Rela>;

export class RelaTable implements Iterable<Rela> {
  constructor(readonly view: DataView) {}

  get length(): number {
    return Math.floor(this.view.byteLength / Rela.size);
  }

  at(index: number): Rela {
    return Rela.at(this.view, index * Rela.size);
  }

  *[Symbol.iterator](): Generator<Rela> {
    for (let i = 0; i < this.length; i++) yield this.at(i);
  }
}
