// A shared object that can be linked to in place of another one, with its names and
// versions, and that is not there to be used: no symbol leads anywhere. It may have
// code that runs when it is relocated, behind everything that is relocated before.

import { add } from "../../memory/numbers.ts";
import type { Code } from "../../x86-64/assembler.ts";
import {
  DT_GNU_HASH,
  DT_HASH,
  DT_RELA,
  DT_STRTAB,
  DT_SYMTAB,
  DT_VERDEF,
  DT_VERDEFNUM,
  DT_VERSYM,
  R_X86_64_GLOB_DAT,
  SHN_ABS,
  SHN_UNDEF,
  STB_GLOBAL,
  STT_FUNC,
  STT_GNU_IFUNC,
  STT_NOTYPE,
  STT_TLS,
  VER_NDX_GLOBAL,
  VER_NDX_LOCAL,
} from "../constants.ts";
import type { Image } from "../image.ts";
import { Rela } from "../rela.ts";
import { Sym } from "../sym.ts";
import { verdefsSize } from "../versions.ts";
import { placeResolver } from "./code-object.ts";
import { emitSharedObject, planSharedObject } from "./shared-object.ts";
import { StringTableWriter } from "./string-table.ts";

export interface StandInCode {
  /** Instructions first, then, from `dataAt` on, what is writable. */
  readonly code: Code;
  readonly dataAt: number;
  /** The label of the function that the loader calls. */
  readonly resolver: string;
  /** A symbol of another object's, and the label of the quad, among the writable data, that gets its address. */
  readonly imports: readonly [symbol: string, label: string];
}

/** `needed` are sonames. Throws ElfError where the source's tables cannot be read. */
export function standInOf(source: Image, needed: readonly string[], own?: StandInCode): Uint8Array {
  const { symbols, strings, gnuHash, sysvHash, versym, verdefs } = source;
  const stringTable = new StringTableWriter(strings.bytes);
  const soname = source.sonameOffset ?? 0;
  const neededAt = needed.map((name) => stringTable.add(name));
  const importAt = own && stringTable.add(own.imports[0]);

  const count = symbols.length + (own ? 1 : 0);
  const symbolBytes = new Uint8Array(count * Sym.size);
  symbolBytes.set(bytesOf(symbols.view));
  const versions = versym && new Uint16Array(count);
  if (versions) new Uint8Array(versions.buffer).set(bytesOf(versym.view));
  const relocations = new Uint8Array(2 * Rela.size);
  const tables = [
    { tag: DT_SYMTAB, bytes: symbolBytes },
    { tag: DT_STRTAB, bytes: stringTable.bytes },
    ...(gnuHash ? [{ tag: DT_GNU_HASH, bytes: bytesOf(gnuHash.view, gnuHash.size) }] : []),
    ...(sysvHash ? [{ tag: DT_HASH, bytes: bytesOf(sysvHash.view, sysvHash.size) }] : []),
    ...(versions ? [{ tag: DT_VERSYM, bytes: new Uint8Array(versions.buffer) }] : []),
    ...(own ? [{ tag: DT_RELA, bytes: relocations }] : []),
  ];
  const verdefCount = verdefs.length === 0 ? 0 : (source.dynamic.get(DT_VERDEFNUM) ?? 0);
  if (verdefCount > 0 && source.verdefView)
    tables.push({
      tag: DT_VERDEF,
      bytes: bytesOf(source.verdefView, verdefsSize(source.path, source.verdefView, verdefCount)),
    });
  const code = own ? { code: { bytes: own.code.bytes, dataAt: own.dataAt }, slots: 1 } : {};
  const plan = planSharedObject({ tables, verdefCount, soname, needed: neededAt, zeroPages: 0, ...code });
  leadNowhere(new DataView(symbolBytes.buffer, 0, symbols.length * Sym.size), versions);
  if (own) {
    const place = (label: string) => own.code.labels.get(label) ?? 0;
    const index = symbols.length;
    const sym = Sym.at(new DataView(symbolBytes.buffer), index * Sym.size);
    sym.st_name = importAt ?? 0;
    sym.st_info = (STB_GLOBAL << 4) | STT_NOTYPE;
    if (versions) versions[index] = VER_NDX_GLOBAL;
    const relocation = Rela.at(new DataView(relocations.buffer));
    relocation.r_offset = add(plan.codeAt, place(own.imports[1]));
    relocation.r_type = R_X86_64_GLOB_DAT;
    relocation.r_sym = index;
    placeResolver(relocations, 1, plan, place(own.resolver));
  }
  return emitSharedObject(plan);
}

const bytesOf = (view: DataView, size = view.byteLength) => new Uint8Array(view.buffer, view.byteOffset, size).slice();

/** An address at which there is never anything; glibc takes 0 for no definition. */
const NOWHERE = 1;

function leadNowhere(symbols: DataView, versions: Uint16Array | undefined): void {
  for (let at = Sym.size; at + Sym.size <= symbols.byteLength; at += Sym.size) {
    const sym = Sym.at(symbols, at);
    const type = sym.st_info & 15;
    if (sym.st_shndx === SHN_UNDEF) {
      // It needs no versions of others: an index into them would lead nowhere.
      if (versions) versions[at / Sym.size] = VER_NDX_LOCAL;
      continue;
    }
    const isThreadLocal = type === STT_TLS;
    sym.st_shndx = isThreadLocal ? SHN_UNDEF : SHN_ABS;
    (sym as { st_value: number }).st_value = isThreadLocal ? 0 : NOWHERE;
    // A resolver would be called.
    if (isThreadLocal) sym.st_info = (sym.st_info & ~15) | STT_NOTYPE;
    else if (type === STT_GNU_IFUNC) sym.st_info = (sym.st_info & ~15) | STT_FUNC;
  }
}
