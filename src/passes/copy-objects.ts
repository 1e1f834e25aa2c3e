// Performs the program's COPY relocations (glibc would find the program's own room as the source): copies the objects'
// contents into the program, and redirects references that were bound earlier to the program's copies. The program's
// own libraries need nothing: glibc has just bound them to the copies.

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

/** An object that a library defines and the program reserves room for. */
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

/** The objects copied by a program that ld.so has relocated. */
export const copiedIn = (program: LoadedImage): CopiedObject[] =>
  [...program.symbolicRela]
    .filter(({ r_type }) => r_type === R_X86_64_COPY)
    .map(({ r_offset, r_sym }) => ({ at: r_offset, symbol: r_sym }));

/** Finds every object's source in `libraries`, the program's scope without it. Writes nothing. Throws LinkError. */
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
      const index = image.findReferenced(name, version);
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

/** Some targets are read-only by now. */
export function* makeCopies(process: Process, copies: readonly Copy[]): Linking<void> {
  const patch = new Patch();
  for (const { from, to, size } of copies) {
    const { buffer, byteOffset } = process.memory.view(from, size);
    patch.set(to, new Uint8Array(buffer, byteOffset, size));
  }
  yield* patch.apply(process);
}

/** Updates an object's symbols that have moved to their new addresses, for libraries that its capsule loads later. */
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
