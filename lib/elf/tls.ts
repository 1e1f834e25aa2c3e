// What a file says about thread-local storage, as far as a loader needs it to reserve room. If some relocation needs
// the distance of a library's block from the thread pointer (the initial-exec model), the block is in each thread's
// static TLS, for which room is reserved when a process starts; otherwise it is allocated when a thread first uses it.
// DF_STATIC_TLS says that a library has such relocations, not that they refer to its own block: Mesa's drivers need
// only libglapi's.

import { DF_STATIC_TLS, DT_FLAGS, PT_INTERP, R_X86_64_TPOFF64, SHN_UNDEF, STT_TLS } from "./constants.ts";
import type { Image } from "./image.ts";
import { Rela } from "./rela.ts";
import { isExported } from "./sym.ts";

export interface Tls {
  /** p_memsz and p_align of PT_TLS; 0 without one. */
  readonly size: number;
  readonly alignment: number;
  /** Its own block must be in static TLS. */
  readonly isStatic: boolean;
  /** Thread-local variables that it exports. */
  readonly exported: readonly string[];
  /** Other objects' variables that must be in static TLS. */
  readonly wanted: readonly string[];
}

/** Returns undefined for an image that does not use TLS. Throws ElfError. */
export function readTls(image: Image): Tls | undefined {
  const { tls } = image;
  // GNU ld (2.40) does not set the flag in programs, for which there is always room.
  const isProgram = image.segment(PT_INTERP) !== undefined;
  const hasStatic = isProgram || ((image.dynamic.get(DT_FLAGS) ?? 0) & DF_STATIC_TLS) !== 0;
  const { isOwn, wanted } = hasStatic ? staticReferences(image) : { isOwn: false, wanted: [] };
  if (!tls && wanted.length === 0) return undefined;
  return {
    size: tls?.p_memsz ?? 0,
    alignment: tls?.p_align ?? 0,
    isStatic: isOwn,
    exported: tls ? [...exportedVariables(image)] : [],
    wanted,
  };
}

// Hot: libLLVM has 60,000 symbols.
function* exportedVariables({ symbols }: Image): Generator<string> {
  for (let index = 1; index < symbols.length; index++) {
    if (symbols.type(index) !== STT_TLS) continue;
    const sym = symbols.at(index);
    if (isExported(sym)) yield symbols.nameOf(sym);
  }
}

/** Does it export thread-local variables? */
export const exportsTls = (image: Image): boolean =>
  image.tls !== undefined && exportedVariables(image).next().done === false;

// Hot: libgallium has 150,000 relocations. The relative ones come first and are skipped.
function staticReferences({ rela, jmprel, symbols, relativeCount }: Image): { isOwn: boolean; wanted: string[] } {
  const wanted = new Set<string>();
  let isOwn = false;
  for (const [{ view }, first] of [
    [rela, relativeCount],
    [jmprel, 0],
  ] as const) {
    for (let at = first * Rela.size; at + Rela.size <= view.byteLength; at += Rela.size) {
      if (view.getUint32(at + Rela.offsetOf.r_type, true) !== R_X86_64_TPOFF64) continue;
      const sym = symbols.at(view.getUint32(at + Rela.offsetOf.r_sym, true));
      // Symbol 0 stands for the object's own block.
      if (sym.st_shndx !== SHN_UNDEF || sym.st_name === 0) isOwn = true;
      else wanted.add(symbols.nameOf(sym));
    }
  }
  return { isOwn, wanted: [...wanted] };
}
