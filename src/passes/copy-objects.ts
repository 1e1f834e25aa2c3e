// The program's COPY relocations, done by us (glibc would find the program's own
// room as the source): the objects' contents go into the program, and whoever
// refers to them and was bound before refers to the program's copy from now on.
// The program's own libraries need nothing: glibc has just bound them so.

import { R_X86_64_COPY, SHN_ABS, SHN_UNDEF } from "../../lib/elf/constants.ts";
import type { LoadedImage } from "../../lib/elf/loaded.ts";
import { Sym } from "../../lib/elf/sym.ts";
import { LinkError } from "../../lib/link-error.ts";
import { readWrapping } from "../../lib/memory/layout.ts";
import { type Address, add, type Vaddr } from "../../lib/memory/numbers.ts";
import { Patch } from "../../lib/process/patch.ts";
import type { Linking, Process } from "../../lib/process/process.ts";
import type { Trace } from "../diagnostics/trace.ts";
import type { Moved } from "./redirect.ts";

/** An object that the program has room for, and that a library defines. */
export interface CopiedObject {
  /** Where the room is. */
  readonly at: Vaddr;
  /** Index into the program's symbols. */
  readonly symbol: number;
}

export interface Copy {
  readonly from: Address;
  readonly to: Address;
  readonly size: number;
}

/** What a program that ld.so has relocated has copied. */
export const copiedIn = (program: LoadedImage): CopiedObject[] =>
  [...program.symbolicRela]
    .filter(({ r_type }) => r_type === R_X86_64_COPY)
    .map(({ r_offset, r_sym }) => ({ at: r_offset, symbol: r_sym }));

/**
 * Finds every object's source in `libraries` (the program's scope without the program). Nothing is written. Throws
 * LinkError.
 */
export function findCopies(
  program: LoadedImage,
  copied: readonly CopiedObject[],
  libraries: readonly LoadedImage[],
  trace: Trace,
): Copy[] {
  return copied.map(({ at, symbol }) => {
    const sym = program.symbols.at(symbol);
    const name = program.symbols.nameOf(sym);
    const version = program.versionOf(symbol);
    for (const image of libraries) {
      const index = image.find(name, version);
      if (index === undefined) continue;
      const { st_size } = image.symbols.at(index);
      trace.log("redirect", () => `${name}: ${sym.st_size} bytes of ${image.path} copied to the program`);
      return { from: image.symbolAddress(index), to: program.addressOf(at), size: Math.min(sym.st_size, st_size) };
    }
    throw new LinkError(
      `Cannot relocate "${program.path}": R_X86_64_COPY wants "${name}"${version ? ` in version ${version}` : ""}, which none of its libraries defines`,
      { object: program.path, symbol: name },
    );
  });
}

export const movesOf = (copies: readonly Copy[]): Moved => new Map(copies.map(({ from, to }) => [from as number, to]));

/** Some are in what is read-only by now. */
export function* makeCopies(process: Process, copies: readonly Copy[]): Linking<void> {
  const patch = new Patch();
  for (const { from, to, size } of copies) {
    const { buffer, byteOffset } = process.memory.view(from, size);
    patch.set(to, new Uint8Array(buffer, byteOffset, size));
  }
  yield* patch.apply(process);
}

/** Has an object show those of its symbols that have moved where they are now, for what its capsule loads later. */
export function updateSymbols(image: LoadedImage, moved: Moved, patch: Patch): void {
  const { view } = image.symbols;
  const { st_value, st_shndx } = Sym.offsetOf;
  const table = image.addressOf(image.symbolTableAt);
  for (let at = 0; at + Sym.size <= view.byteLength; at += Sym.size) {
    const section = view.getUint16(at + st_shndx, true);
    const bias = section === SHN_ABS ? 0 : image.loadBias;
    const target = moved.get(readWrapping(view, at + st_value) + bias);
    if (target === undefined || section === SHN_UNDEF) continue;
    patch.setPointer(add(table, at + st_value), target - bias);
  }
}
