// A mirror: a shared object that presents a loaded one to another namespace, at the same addresses. The symbol, string,
// hash and version tables are the loaded object's own, byte for byte, so the hash tables stay valid and no string is
// read. Only each symbol's location changes, to SHN_ABS and its address (supported by glibc since 2.28). An IFUNC stays
// one: glibc calls its resolver.

import { readU64, writeU64 } from "../../memory/layout.ts";
import type { Address } from "../../memory/numbers.ts";
import { SHN_ABS, SHN_UNDEF, STT_NOTYPE, STT_TLS, VER_NDX_LOCAL } from "../constants.ts";
import type { LoadedImage } from "../loaded.ts";
import { SYM_WORDS, Sym } from "../sym.ts";
import { copyOf, copyTables } from "./copied-tables.ts";
import {
  ANY_SECTION,
  emitSharedObject,
  type Place,
  placeFunction,
  placeFunctionAt,
  planSharedObject,
  type SharedObjectPlan,
} from "./shared-object.ts";
import { StringTableWriter } from "./string-table.ts";

export interface MirrorOptions {
  readonly soname: string;
  /** By name, for all versions of the symbol. A name that the source does not export is ignored. */
  readonly overrides?: ReadonlyMap<string, Place>;
  readonly zeroPages?: number;
  /** Sonames. */
  readonly needed?: readonly string[];
  /**
   * Show thread-local variables too. The code that loads the mirror must then tell the loader whose they are, since
   * their values are offsets into a block that the mirror does not have.
   */
  readonly hasThreadLocals?: boolean;
  /** Addresses of symbols that have moved: old → new. */
  readonly moved?: ReadonlyMap<number, Address>;
}

interface Mirror {
  readonly bytes: Uint8Array;
  readonly plan: SharedObjectPlan;
}

/** Throws ElfError if the source's tables cannot be read. */
export function mirrorOf(source: LoadedImage, options: MirrorOptions): Mirror {
  const stringTable = new StringTableWriter(source.strings.bytes);
  const soname = stringTable.addSoname(options.soname, source);
  const needed = (options.needed ?? []).map((name) => stringTable.add(name));

  const { tables, symbols, versions, verdefCount } = copyTables(source, stringTable);
  const plan = planSharedObject({ tables, verdefCount, soname, needed, zeroPages: options.zeroPages });
  const hasThreadLocals = options.hasThreadLocals ?? false;
  const bias = source.loadBias;
  relocate(new Uint32Array(symbols.buffer), { versions, distance: bias, section: SHN_ABS, hasThreadLocals });
  const view = new DataView(symbols.buffer);
  if (options.moved && options.moved.size > 0) showMoved(view, options.moved);
  for (const [name, place] of options.overrides ?? []) {
    for (const index of source.findAll(name)) placeFunction(Sym.at(view, index * Sym.size), place, plan);
  }
  return { bytes: emitSharedObject(plan), plan };
}

function showMoved(symbols: DataView, moved: ReadonlyMap<number, Address>): void {
  const { st_value, st_shndx } = Sym.offsetOf;
  for (let at = Sym.size; at + Sym.size <= symbols.byteLength; at += Sym.size) {
    if (symbols.getUint16(at + st_shndx, true) !== SHN_ABS) continue;
    const target = moved.get(readU64(symbols, at + st_value));
    if (target !== undefined) writeU64(symbols, at + st_value, target);
  }
}

/**
 * The symbol table of a loaded image, for an object at `loadBias` that shows it; see MirrorOptions. Values are relative
 * to `loadBias`, as in the gABI, so that code that reads a loaded object's table itself finds what ld.so finds.
 * `functions` are addresses of functions that replace the image's own.
 */
export function symbolsAt(
  image: LoadedImage,
  loadBias: Address,
  hasThreadLocals: boolean,
  functions: ReadonlyMap<string, Address> = new Map(),
): Uint8Array {
  const bytes = copyOf(image.symbols.view);
  const distance = image.loadBias - loadBias;
  relocate(new Uint32Array(bytes.buffer), { versions: undefined, distance, section: ANY_SECTION, hasThreadLocals });
  const view = new DataView(bytes.buffer);
  for (const [name, address] of functions)
    for (const index of image.findAll(name)) placeFunctionAt(Sym.at(view, index * Sym.size), address, loadBias);
  return bytes;
}

interface Relocating {
  readonly versions: Uint16Array | undefined;
  /** What is added to each value, modulo 2^64. */
  readonly distance: number;
  /** The st_shndx that each symbol gets. */
  readonly section: number;
  readonly hasThreadLocals: boolean;
}

/**
 * Moves every defined symbol. Hot (libc has 3,000), so it works on 32-bit words:
 *
 *   st_name | st_info, st_other, st_shndx | st_value (2) | st_size (2)
 */
function relocate(words: Uint32Array, { versions, distance, section, hasThreadLocals }: Relocating): void {
  const high = Math.floor(distance / 2 ** 32);
  const low = distance - high * 2 ** 32;
  const SECTION = 0xffff0000;
  for (let at = SYM_WORDS; at < words.length; at += SYM_WORDS) {
    const info = words[at + 1] as number;
    const before = info >>> 16;
    // A mirror needs no versions from others: an index into them would dangle.
    if (before === SHN_UNDEF && versions) versions[at / SYM_WORDS] = VER_NDX_LOCAL;
    if (before === SHN_UNDEF || before === SHN_ABS) continue;
    if ((info & 15) === STT_TLS) {
      if (hasThreadLocals) {
        words[at + 1] = (info & ~SECTION) | (ANY_SECTION << 16);
        continue;
      }
      // Offsets into a thread's block cannot be absolute. glibc takes an undefined TLS symbol for a definition, so the
      // type is cleared too.
      words[at + 1] = (info & ~SECTION & ~15) | STT_NOTYPE;
      words[at + 2] = 0;
      words[at + 3] = 0;
      continue;
    }
    const sum = (words[at + 2] as number) + low;
    words[at + 2] = sum;
    words[at + 3] = (words[at + 3] as number) + high + (sum >= 2 ** 32 ? 1 : 0);
    words[at + 1] = (info & ~SECTION) | (section << 16);
  }
}
