// A shared object that can be linked to in place of another one: it has the other's names and versions, but its symbols
// point nowhere, and it is never used. It may have code that runs when it is relocated, after everything that is
// relocated earlier.

import { add } from "../../memory/numbers.ts";
import type { Code } from "../../x86-64/assembler.ts";
import * as elf from "../constants.ts";
import type { Image } from "../image.ts";
import { Rela } from "../rela.ts";
import { Sym } from "../sym.ts";
import { placeResolver } from "./code-object.ts";
import { copyTables } from "./copied-tables.ts";
import { emitSharedObject, planSharedObject } from "./shared-object.ts";
import { StringTableWriter } from "./string-table.ts";

interface StubLibraryCode {
  /** Instructions, then writable data from `dataAt` on. */
  readonly code: Code;
  readonly dataAt: number;
  /** Label of the function that the loader calls. */
  readonly resolver: string;
  /** Another object's symbol, and the label of the quad in the writable data that gets its address. */
  readonly imports: readonly [symbol: string, label: string];
}

/** `needed` are sonames. Throws ElfError if the source's tables cannot be read. */
export function stubLibraryOf(source: Image, needed: readonly string[], own?: StubLibraryCode): Uint8Array {
  const stringTable = new StringTableWriter(source.strings.bytes);
  const soname = source.sonameOffset ?? 0;
  const neededAt = needed.map((name) => stringTable.add(name));
  const importAt = own && stringTable.add(own.imports[0]);

  const { tables, symbols, versions, verdefCount } = copyTables(source, stringTable, own ? 1 : 0);
  const relocations = new Uint8Array(2 * Rela.size);
  if (own) tables.push({ tag: elf.DT_RELA, bytes: relocations });
  const code = own ? { code: { bytes: own.code.bytes, dataAt: own.dataAt }, slots: 1 } : {};
  const plan = planSharedObject({ tables, verdefCount, soname, needed: neededAt, ...code });
  leadNowhere(new DataView(symbols.buffer, 0, source.symbols.length * Sym.size), versions);
  if (own) {
    const place = (label: string) => own.code.labels.get(label) ?? 0;
    const index = source.symbols.length;
    const sym = Sym.at(new DataView(symbols.buffer), index * Sym.size);
    sym.st_name = importAt ?? 0;
    sym.st_info = (elf.STB_GLOBAL << 4) | elf.STT_NOTYPE;
    if (versions) versions[index] = elf.VER_NDX_GLOBAL;
    const relocation = Rela.at(new DataView(relocations.buffer));
    relocation.r_offset = add(plan.codeAt, place(own.imports[1]));
    relocation.r_type = elf.R_X86_64_GLOB_DAT;
    relocation.r_sym = index;
    placeResolver(relocations, 1, plan, place(own.resolver));
  }
  return emitSharedObject(plan);
}

/** An address where nothing is ever mapped; glibc takes 0 for no definition. */
export const NOWHERE = 1;

function leadNowhere(symbols: DataView, versions: Uint16Array | undefined): void {
  for (let at = Sym.size; at + Sym.size <= symbols.byteLength; at += Sym.size) {
    const sym = Sym.at(symbols, at);
    const type = sym.st_info & 15;
    if (sym.st_shndx === elf.SHN_UNDEF) {
      // It needs no versions from others: an index into them would dangle.
      if (versions) versions[at / Sym.size] = elf.VER_NDX_LOCAL;
      continue;
    }
    const isThreadLocal = type === elf.STT_TLS;
    sym.st_shndx = isThreadLocal ? elf.SHN_UNDEF : elf.SHN_ABS;
    (sym as { st_value: number }).st_value = isThreadLocal ? 0 : NOWHERE;
    // An IFUNC's resolver would be called.
    if (isThreadLocal) sym.st_info = (sym.st_info & ~15) | elf.STT_NOTYPE;
    else if (type === elf.STT_GNU_IFUNC) sym.st_info = (sym.st_info & ~15) | elf.STT_FUNC;
  }
}
