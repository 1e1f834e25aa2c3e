// GNU symbol versions (LSB, "Symbol Versioning"): .gnu.version has an index for
// each symbol, .gnu.version_d names the versions that an object defines,
// .gnu.version_r those that it needs and from which file.

import { layout, u16, u32 } from "../memory/layout.ts";
import { VER_FLG_BASE, VER_FLG_WEAK, VER_NDX_GLOBAL, VERSYM_HIDDEN } from "./constants.ts";
import { ElfError } from "./error.ts";
import type { StringTable } from "./strings.ts";

export const Verdef = layout("Elf64_Verdef", {
  vd_version: u16,
  vd_flags: u16,
  vd_ndx: u16,
  vd_cnt: u16,
  vd_hash: u32,
  vd_aux: u32,
  vd_next: u32,
});
export const Verdaux = layout("Elf64_Verdaux", { vda_name: u32, vda_next: u32 });
export const Verneed = layout("Elf64_Verneed", {
  vn_version: u16,
  vn_cnt: u16,
  vn_file: u32,
  vn_aux: u32,
  vn_next: u32,
});
export const Vernaux = layout("Elf64_Vernaux", {
  vna_hash: u32,
  vna_flags: u16,
  vna_other: u16,
  vna_name: u32,
  vna_next: u32,
});

export interface DefinedVersion {
  readonly index: number;
  readonly name: string;
  /** The name of the file itself, not a version of its symbols. */
  readonly isBase: boolean;
  readonly isWeak: boolean;
}

export interface NeededVersion {
  /** The soname of the object that must define it. */
  readonly file: string;
  readonly index: number;
  readonly name: string;
  /** Where the name is in the string table. */
  readonly nameOffset: number;
  readonly isWeak: boolean;
}

/** `view` begins at DT_VERDEF and reaches as far as its segment does; `count` is DT_VERDEFNUM. Throws ElfError. */
export function readVerdefs(path: string, view: DataView, count: number, strings: StringTable): DefinedVersion[] {
  const versions: DefinedVersion[] = [];
  for (const at of linked(path, "DT_VERDEF", view, 0, count, Verdef.size, Verdef.offsetOf.vd_next)) {
    const verdef = Verdef.at(view, at);
    const [aux] = linked(path, "DT_VERDEF", view, at + verdef.vd_aux, 1, Verdaux.size, Verdaux.offsetOf.vda_next);
    if (aux === undefined) continue;
    const name = strings.at(Verdaux.at(view, aux).vda_name);
    const isBase = (verdef.vd_flags & VER_FLG_BASE) !== 0;
    const isWeak = (verdef.vd_flags & VER_FLG_WEAK) !== 0;
    versions.push({ index: verdef.vd_ndx & ~VERSYM_HIDDEN, name, isBase, isWeak });
  }
  return versions;
}

/** Of each version definition, in order, the versions that it inherits: nobody binds by them. Throws ElfError. */
export function readVersionParents(path: string, view: DataView, count: number, strings: StringTable): string[][] {
  const parents: string[][] = [];
  let total = 0;
  for (const at of linked(path, "DT_VERDEF", view, 0, count, Verdef.size, Verdef.offsetOf.vd_next)) {
    const { vd_aux, vd_cnt } = Verdef.at(view, at);
    const auxes = linked(path, "DT_VERDEF", view, at + vd_aux, vd_cnt, Verdaux.size, Verdaux.offsetOf.vda_next);
    const names: string[] = [];
    for (const aux of auxes) {
      // Records may share their lists, so that a small file could describe billions.
      if (++total > 2 * VERSYM_HIDDEN) throw new ElfError(path, "DT_VERDEF", "its versions have too many names");
      names.push(strings.at(Verdaux.at(view, aux).vda_name));
    }
    parents.push(names.slice(1));
  }
  return parents;
}

/** How many bytes the version definitions take, their auxiliary records included. Throws ElfError. */
export function verdefsSize(path: string, view: DataView, count: number): number {
  let size = 0;
  for (const at of linked(path, "DT_VERDEF", view, 0, count, Verdef.size, Verdef.offsetOf.vd_next)) {
    const { vd_aux, vd_cnt } = Verdef.at(view, at);
    const auxes = linked(path, "DT_VERDEF", view, at + vd_aux, vd_cnt, Verdaux.size, Verdaux.offsetOf.vda_next);
    size = Math.max(size, at + Verdef.size);
    for (const aux of auxes) size = Math.max(size, aux + Verdaux.size);
  }
  return size;
}

/** `view` begins at DT_VERNEED and reaches as far as its segment does; `count` is DT_VERNEEDNUM. Throws ElfError. */
export function readVerneeds(path: string, view: DataView, count: number, strings: StringTable): NeededVersion[] {
  const versions: NeededVersion[] = [];
  for (const at of linked(path, "DT_VERNEED", view, 0, count, Verneed.size, Verneed.offsetOf.vn_next)) {
    const need = Verneed.at(view, at);
    const file = strings.at(need.vn_file);
    const auxes = linked(
      path,
      "DT_VERNEED",
      view,
      at + need.vn_aux,
      need.vn_cnt,
      Vernaux.size,
      Vernaux.offsetOf.vna_next,
    );
    for (const auxAt of auxes) {
      // Records may share their lists, so that a small file could describe billions.
      if (versions.length >= VERSYM_HIDDEN)
        throw new ElfError(path, "DT_VERNEED", "it has more versions than a version index can tell apart");
      const aux = Vernaux.at(view, auxAt);
      const isWeak = (aux.vna_flags & VER_FLG_WEAK) !== 0;
      const { vna_name: nameOffset } = aux;
      versions.push({ file, index: aux.vna_other & ~VERSYM_HIDDEN, name: strings.at(nameOffset), nameOffset, isWeak });
    }
  }
  return versions;
}

/** The positions of a list's records, each of which says how far on the next one is. */
function* linked(
  path: string,
  structure: string,
  view: DataView,
  start: number,
  count: number,
  size: number,
  nextAt: number,
): Generator<number> {
  let at = start;
  for (let i = 0; i < count; i++) {
    if (!(at + size <= view.byteLength))
      throw new ElfError(path, structure, `record ${i + 1} of ${count} reaches beyond its segment`);
    yield at;
    const next = view.getUint32(at + nextAt, true);
    if (next === 0) return;
    if (next < size) throw new ElfError(path, structure, `record ${i + 1} of ${count} overlaps the next one`);
    at += next;
  }
}

/** Each symbol's version index, by the symbol's own index. */
export class Versym {
  constructor(readonly view: DataView) {}
  /** Without the hidden bit; VER_NDX_GLOBAL where the table does not reach. */
  at(symbol: number): number {
    return 2 * symbol + 2 <= this.view.byteLength
      ? this.view.getUint16(2 * symbol, true) & ~VERSYM_HIDDEN
      : VER_NDX_GLOBAL;
  }
  /** `name@VERSION` rather than the default `name@@VERSION`. */
  isHidden(symbol: number): boolean {
    return 2 * symbol + 2 <= this.view.byteLength && (this.view.getUint16(2 * symbol, true) & VERSYM_HIDDEN) !== 0;
  }
}
