// Checks each relocation, and what the function arrays hold once all are applied: ld.so writes where the tables say, and
// calls what they say.

import { readU64 } from "../memory/layout.ts";
import { toVaddr } from "../memory/numbers.ts";
import * as elf from "./constants.ts";
import { ElfError } from "./error.ts";
import type { Image } from "./image.ts";
import { isReadable, type PageRange, segmentAt } from "./phdr.ts";
import { Rela } from "./rela.ts";
import { isCallable } from "./relro.ts";
import { bindingOf, typeOf } from "./sym.ts";
import { lastVersion } from "./versions.ts";
import { wordsOf } from "./words.ts";
import { Writable } from "./writable.ts";

const SLOT = 8;
/** r_offset (2) | r_type | r_sym | r_addend (2) */
const RELA_WORDS = Rela.size / 4;

/** Throws ElfError. */
export function checkRelocations(image: Image): void {
  const called = new CalledFunctions(image);
  const writable = new Writable(image);
  checkRelr(image, writable, called);
  for (const name of ["DT_RELA", "DT_JMPREL"] as const) {
    let first = 0;
    for (const table of image.relocations(name)) {
      checkTable(image, name, table, first, writable, called);
      first += table.length;
    }
  }
  called.check();
}

/** A piece, from entry `first` on. Hot: libLLVM has 380,000. The previous entry's segment is tried first. */
function checkTable(
  image: Image,
  name: "DT_RELA" | "DT_JMPREL",
  { view }: { readonly view: DataView },
  first: number,
  writable: Writable,
  called: CalledFunctions,
): void {
  const { path, symbols, versym } = image;
  const words = wordsOf(view);
  const relative = name === "DT_RELA" ? image.relativeCount : 0;
  const last = lastVersion(image);
  let [start, end] = [1, 0];
  for (let at = 0, i = first; at + RELA_WORDS <= words.length; at += RELA_WORDS, i++) {
    const type = words[at + 2] as number;
    const symbol = words[at + 3] as number;
    if (i < relative && type !== elf.R_X86_64_RELATIVE)
      // ld.so asserts this
      throw new ElfError(path, name, `entry ${i} has type ${type}, and DT_RELACOUNT says that it is relative`);
    if (i >= relative && symbol >= symbols.length && (versym || !isWithoutSymbol(type)))
      checkReference(image, name, i, symbol, last);
    if (type === elf.R_X86_64_NONE) continue;
    const place = wordAt(words, at);
    const width = isSimple(type) ? SLOT : checkSpecial(image, name, i, type, symbol, wordAt(words, at + 4));
    if (place < start || place + width > end) {
      const window = writable.around(place, width);
      if (!window)
        throw new ElfError(
          path,
          name,
          `entry ${i} relocates vaddr 0x${place.toString(16)}, which is in no writable segment`,
        );
      ({ start, end } = window);
    }
    if (place < called.end && place + width > called.start) called.relocate(place, type, symbol, wordAt(words, at + 4));
  }
}

function checkRelr(image: Image, writable: Writable, called: CalledFunctions): void {
  const { path, relr } = image;
  let window: PageRange | undefined;
  for (const slot of relr) {
    if (!window || slot < window.start || slot + SLOT > window.end) window = writable.around(slot, SLOT);
    if (!window) throw new ElfError(path, "DT_RELR", `vaddr 0x${slot.toString(16)} is in no writable segment`);
    if (slot < called.end && slot + SLOT > called.start) called.relocateInPlace(slot);
  }
}

const wordAt = (words: Uint32Array, at: number): number =>
  words[at + 1] === 0 ? (words[at] as number) : (words[at + 1] as number) * 2 ** 32 + (words[at] as number);

const isSimple = (type: number): boolean =>
  type === elf.R_X86_64_RELATIVE ||
  type === elf.R_X86_64_64 ||
  type === elf.R_X86_64_GLOB_DAT ||
  type === elf.R_X86_64_JUMP_SLOT;

/** ld.so asks such a relocation for no symbol, or at most for its version. */
const isWithoutSymbol = (type: number): boolean =>
  type === elf.R_X86_64_NONE || type === elf.R_X86_64_RELATIVE || type === elf.R_X86_64_IRELATIVE;

/** Checks what a type demands of its symbol; returns how many bytes it writes. */
function checkSpecial(
  image: Image,
  table: string,
  entry: number,
  type: number,
  symbol: number,
  addend: number,
): number {
  const fault = (text: string) => new ElfError(image.path, table, `entry ${entry} ${text}`);
  switch (type) {
    case elf.R_X86_64_PC32:
    case elf.R_X86_64_32:
      return 4;
    case elf.R_X86_64_SIZE32:
    case elf.R_X86_64_SIZE64: {
      const sym = image.symbols.at(symbol);
      const isThere = sym.st_shndx !== elf.SHN_UNDEF && sym.st_value !== 0;
      // ld.so forgets that there may be no such symbol.
      if (!isThere && bindingOf(sym) === elf.STB_WEAK) throw fault("wants the size of a weak symbol");
      return type === elf.R_X86_64_SIZE32 ? 4 : SLOT;
    }
    case elf.R_X86_64_COPY: {
      const sym = image.symbols.at(symbol);
      const load = segmentAt(image.loads, sym.st_value, sym.st_size);
      const isKnown = sym.st_shndx === elf.SHN_UNDEF || (load && isReadable(load) && typeOf(sym) !== elf.STT_GNU_IFUNC);
      if (sym.st_size > 0 && !isKnown) throw fault("copies what is in no segment");
      return sym.st_size;
    }
    case elf.R_X86_64_TPOFF64:
      checkThreadLocal(image, symbol, fault);
      return SLOT;
    case elf.R_X86_64_TLSDESC:
      checkThreadLocal(image, symbol, fault);
      return 2 * SLOT;
    case elf.R_X86_64_IRELATIVE:
      if (!isCallable(image, addend)) throw fault("calls what is in no executable segment");
      return SLOT;
    default:
      return SLOT;
  }
}

/** ld.so divides by the alignment of the symbol's block. */
function checkThreadLocal({ symbols, tls }: Image, symbol: number, fault: (text: string) => ElfError): void {
  const sym = symbols.at(symbol);
  const isOwn = symbol === 0 || bindingOf(sym) === elf.STB_LOCAL || sym.st_shndx !== elf.SHN_UNDEF;
  if (isOwn && !(tls && tls.p_memsz > 0 && tls.p_align > 0))
    throw fault("is for thread-local data, which has no PT_TLS");
  if (symbol !== 0 && bindingOf(sym) !== elf.STB_LOCAL && typeOf(sym) !== elf.STT_TLS)
    throw fault(`is for thread-local data, and symbol ${symbol} is not`);
}

/** Checks that a symbol exists, with its name and version: hash tables need not cover what is only referenced. */
function checkReference(image: Image, table: string, entry: number, symbol: number, last: number): void {
  const { path, symbols, strings, versym } = image;
  try {
    const hasVersion = !versym || versym.at(symbol) <= last;
    if (hasVersion && symbols.at(symbol).st_name < strings.room) return;
  } catch (error) {
    if (!(error instanceof ElfError)) throw error;
  }
  throw new ElfError(path, table, `entry ${entry} refers to symbol ${symbol} of ${symbols.length}`);
}

/** st_info of a function that must be there. */
const FUNCTION = (elf.STB_GLOBAL << 4) | elf.STT_FUNC;

const ARRAYS = [
  [elf.DT_PREINIT_ARRAY, elf.DT_PREINIT_ARRAYSZ, "DT_PREINIT_ARRAY"],
  [elf.DT_INIT_ARRAY, elf.DT_INIT_ARRAYSZ, "DT_INIT_ARRAY"],
  [elf.DT_FINI_ARRAY, elf.DT_FINI_ARRAYSZ, "DT_FINI_ARRAY"],
] as const;

/** The function arrays: ld.so calls whatever their entries are after relocation. */
class CalledFunctions {
  /** All of them are between these. */
  readonly start: number;
  readonly end: number;
  readonly #arrays: { readonly name: string; readonly at: number; readonly end: number }[];
  /** Is it code, by the place of each entry that has been relocated. */
  readonly #isCode = new Map<number, boolean>();

  constructor(readonly image: Image) {
    const { dynamic } = image;
    this.#arrays = ARRAYS.flatMap(([tag, sizeTag, name]) => {
      const at = dynamic.get(tag);
      const count = Math.floor((dynamic.get(sizeTag) ?? 0) / SLOT);
      return at !== undefined && count > 0 ? [{ name, at, end: at + SLOT * count }] : [];
    });
    this.start = Math.min(...this.#arrays.map(({ at }) => at));
    this.end = Math.max(...this.#arrays.map(({ end }) => end));
  }

  relocate(place: number, type: number, symbol: number, addend: number): void {
    this.#set(place, this.#leadsToCode(type, symbol, addend));
  }

  /** The load bias is added to what the file has there, once. */
  relocateInPlace(place: number): void {
    this.#set(place, !this.#isCode.has(place) && isCallable(this.image, this.#valueAt(place)));
  }

  /** Throws ElfError. */
  check(): void {
    const { path, ehdr } = this.image;
    for (const { name, at, end } of this.#arrays)
      for (let place = at; place < end; place += SLOT) {
        // A program with a fixed address needs no relocation.
        const isCode =
          this.#isCode.get(place) ?? (ehdr.e_type === elf.ET_EXEC && isCallable(this.image, this.#valueAt(place)));
        if (!isCode) throw new ElfError(path, name, `entry ${(place - at) / SLOT} leads to no executable segment`);
      }
  }

  /** What is not exactly over an entry damages two. */
  #set(place: number, isCode: boolean): void {
    for (const { at, end } of this.#arrays) {
      if (place <= at - SLOT || place >= end) continue;
      const beside = (place - at + SLOT) % SLOT;
      if (beside === 0) this.#isCode.set(place, isCode);
      else for (const entry of [place - beside, place - beside + SLOT]) this.#isCode.set(entry, false);
    }
  }

  #leadsToCode(type: number, symbol: number, addend: number): boolean {
    if (type === elf.R_X86_64_IRELATIVE) return true;
    if (!isSimple(type)) return false;
    if (type === elf.R_X86_64_RELATIVE) return isCallable(this.image, addend);
    const sym = this.image.symbols.at(symbol);
    // Another object has it.
    if (symbol !== 0 && sym.st_shndx === elf.SHN_UNDEF) return sym.st_info === FUNCTION;
    if (sym.st_shndx === elf.SHN_ABS) return sym.st_value > this.image.end;
    return isCallable(this.image, sym.st_value + (type === elf.R_X86_64_64 ? addend : 0));
  }

  #valueAt(place: number): number {
    return readU64(this.image.bytes.view(toVaddr(place), SLOT, "function array"), 0);
  }
}
