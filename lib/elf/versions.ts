// GNU symbol versions (LSB, "Symbol Versioning"): .gnu.version has an index for each symbol, .gnu.version_d names the
// versions that an object defines, .gnu.version_r those that it needs and from which file.

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
  /** Offset of the name in the string table. */
  readonly nameOffset: number;
  readonly isWeak: boolean;
}

// Each record says where the next one is, which alone determines a list's length. No loader reads the counts
// (DT_VERDEFNUM, DT_VERNEEDNUM, vd_cnt, vn_cnt).

/** `view` starts at DT_VERDEF and extends to the end of its segment. Throws ElfError. */
export function readVerdefs(path: string, view: DataView, strings: StringTable): DefinedVersion[] {
  return Array.from(definitions(path, view), ({ flags, index, nameOffset }) => {
    const [isBase, isWeak] = [(flags & VER_FLG_BASE) !== 0, (flags & VER_FLG_WEAK) !== 0];
    return { index, name: strings.at(nameOffset), isBase, isWeak };
  });
}

/** readVerdefs without the strings: `nameOffset` is the name's in the string table. */
export function* definitions(path: string, view: DataView) {
  let count = 0;
  for (const at of verdefsIn(path, view)) {
    if (++count > VERSYM_HIDDEN) throw new ElfError(path, "DT_VERDEF", "it has more versions than can be told apart");
    const { vd_flags: flags, vd_ndx } = Verdef.at(view, at);
    const [aux] = auxesOf(path, view, at);
    yield { flags, index: vd_ndx & ~VERSYM_HIDDEN, nameOffset: Verdaux.at(view, aux).vda_name };
  }
}

const verdefsIn = (path: string, view: DataView) =>
  linked(path, "DT_VERDEF", view, 0, Verdef.size, Verdef.offsetOf.vd_next);

const auxesOf = (path: string, view: DataView, at: number) =>
  linked(path, "DT_VERDEF", view, at + Verdef.at(view, at).vd_aux, Verdaux.size, Verdaux.offsetOf.vda_next);

/** For all versions together: records may share lists, so a small file could describe billions. */
const MOST_NAMES = 2 * VERSYM_HIDDEN;

/** The versions that each version definition inherits, in order. They play no part in binding. Throws ElfError. */
export function readVersionParents(path: string, view: DataView, strings: StringTable): string[][] {
  const parents: string[][] = [];
  let total = 0;
  for (const at of verdefsIn(path, view)) {
    const names: string[] = [];
    for (const aux of auxesOf(path, view, at)) {
      if (++total > MOST_NAMES) throw new ElfError(path, "DT_VERDEF", "its versions have too many names");
      names.push(strings.at(Verdaux.at(view, aux).vda_name));
    }
    parents.push(names.slice(1));
  }
  return parents;
}

/** Size in bytes of the version definitions, with the auxiliary records that vd_cnt counts. Throws ElfError. */
export function verdefsSize(path: string, view: DataView): number {
  let size = 0;
  let total = 0;
  for (const at of verdefsIn(path, view)) {
    const { vd_aux, vd_cnt } = Verdef.at(view, at);
    size = Math.max(size, at + Verdef.size);
    let aux = at + vd_aux;
    if (!(aux + Verdaux.size <= view.byteLength))
      throw new ElfError(path, "DT_VERDEF", `the name of the record at ${at} is beyond its segment`);
    for (let i = 0; i < Math.max(1, vd_cnt) && aux + Verdaux.size <= view.byteLength; i++) {
      if (++total > MOST_NAMES) throw new ElfError(path, "DT_VERDEF", "its versions have too many names");
      size = Math.max(size, aux + Verdaux.size);
      const { vda_next } = Verdaux.at(view, aux);
      if (vda_next === 0) break;
      aux += vda_next;
    }
  }
  return size;
}

/** `view` starts at DT_VERNEED and extends to the end of its segment. Throws ElfError. */
export function readVerneeds(path: string, view: DataView, strings: StringTable): NeededVersion[] {
  const versions: NeededVersion[] = [];
  for (const at of linked(path, "DT_VERNEED", view, 0, Verneed.size, Verneed.offsetOf.vn_next)) {
    const need = Verneed.at(view, at);
    const file = strings.at(need.vn_file);
    const auxes = linked(path, "DT_VERNEED", view, at + need.vn_aux, Vernaux.size, Vernaux.offsetOf.vna_next);
    for (const auxAt of auxes) {
      // Records may share lists, so a small file could describe billions.
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

/** The highest index of all versions that are defined or needed; 0 without any. Throws ElfError. */
export function lastVersion({ verdefs, verneeds }: Versions): number {
  return [...verdefs, ...verneeds].reduce((last, { index }) => Math.max(last, index), 0);
}

interface Versions {
  readonly verdefs: readonly DefinedVersion[];
  readonly verneeds: readonly NeededVersion[];
}

/** The positions of a list's records. Each gives the distance to the next. */
function* linked(
  path: string,
  structure: string,
  view: DataView,
  start: number,
  size: number,
  nextAt: number,
): Generator<number> {
  let at = start;
  for (let i = 1; ; i++) {
    if (!(at + size <= view.byteLength)) throw new ElfError(path, structure, `record ${i} reaches beyond its segment`);
    yield at;
    const next = view.getUint32(at + nextAt, true);
    if (next === 0) return;
    if (next < size) throw new ElfError(path, structure, `record ${i} overlaps the next one`);
    at += next;
  }
}

/** Version indexes by symbol index. */
export class Versym {
  constructor(
    readonly view: DataView,
    /** The entry of a symbol that the hash tables do not cover. Throws ElfError. */
    readonly beyond?: (symbol: number) => DataView,
  ) {}
  /** Without the hidden bit; VER_NDX_GLOBAL beyond the table. */
  at(symbol: number): number {
    return this.#read(symbol) & ~VERSYM_HIDDEN;
  }
  /** `name@VERSION` rather than the default `name@@VERSION`. */
  isHidden(symbol: number): boolean {
    return (this.#read(symbol) & VERSYM_HIDDEN) !== 0;
  }
  #read(symbol: number): number {
    if (2 * symbol + 2 <= this.view.byteLength) return this.view.getUint16(2 * symbol, true);
    return this.beyond ? this.beyond(symbol).getUint16(0, true) : VER_NDX_GLOBAL;
  }
}
