// Relocations of a file, to be made wrong; see elf-bytes.ts.

import { DT, type ElfBytes } from "./elf-bytes.ts";

const RELA_SIZE = 24;
const FIELDS = { r_offset: [0, 8], r_type: [8, 4], r_sym: [12, 4], r_addend: [16, 8] } as const;

/**
 * Changes the first relocation of a type, at `vaddr` where that is given, in DT_RELA or DT_JMPREL. Throws where there
 * is none.
 */
export function spoilRelocation(
  elf: ElfBytes,
  type: number,
  fields: Partial<Record<keyof typeof FIELDS, number | bigint>>,
  vaddr?: number,
): void {
  for (const [table, size] of [
    [DT.RELA, DT.RELASZ],
    [DT.JMPREL, DT.PLTRELSZ],
  ] as const) {
    if (!elf.hasDynamic(table)) continue;
    const start = elf.table(table);
    for (let at = start; at < start + elf.dynamicValue(size); at += RELA_SIZE) {
      if (elf.get(at + FIELDS.r_type[0], 4) !== type) continue;
      if (vaddr !== undefined && elf.get(at + FIELDS.r_offset[0], 8) !== vaddr) continue;
      for (const [name, value] of Object.entries(fields)) {
        const [offset, width] = FIELDS[name as keyof typeof FIELDS];
        elf.set(at + offset, width, value);
      }
      return;
    }
  }
  throw new Error(`No relocation has type ${type}`);
}
