// Which symbols of isolated libraries the program's side refers to, read from the slots
// of what is loaded: those that hold an address of a shim's by now, and those of
// functions that glibc has not bound yet, by name.

import { R_X86_64_64, R_X86_64_GLOB_DAT, R_X86_64_JUMP_SLOT } from "../../lib/elf/constants.ts";
import type { LoadedImage } from "../../lib/elf/loaded.ts";
import type { LoadedObject } from "../../lib/loader/link-map.ts";
import { readU64 } from "../../lib/memory/layout.ts";
import type { Binding } from "../diagnostics/events.ts";
import type { Capsule, Launch } from "./launch.ts";
import type { Moved } from "./redirect.ts";

/** A shim, and the file of the library that it shows. */
interface Shown {
  readonly object: LoadedObject;
  readonly path: string;
}

/** `images` have been redirected by `moved`. */
export function bindingsOf(
  { capsules }: Pick<Launch, "capsules">,
  images: readonly LoadedImage[],
  shims: readonly Shown[],
  moved: Moved,
): Binding[] {
  const shown = new Set<number>(moved.values());
  const bindings: Binding[] = [];
  for (const image of images) {
    for (const table of [image.symbolicRela, image.jmprel]) {
      for (const { r_type, r_sym, r_offset, r_addend } of table) {
        if (r_sym === 0 || ![R_X86_64_GLOB_DAT, R_X86_64_JUMP_SLOT, R_X86_64_64].includes(r_type)) continue;
        const addend = r_type === R_X86_64_64 ? r_addend : 0;
        const value = readU64(image.bytes.view(r_offset, 8, "relocated slot"), 0) - addend;
        const isLazy = r_type === R_X86_64_JUMP_SLOT && image.holds(value);
        if (!isLazy && !shown.has(value)) continue;
        const symbol = image.symbols.nameOf(image.symbols.at(r_sym));
        const version = image.versionOf(r_sym);
        const path = isLazy ? definer(shims, symbol, version) : holder(capsules, value);
        if (path !== undefined) bindings.push({ object: image.path, symbol, version, path, isLazy });
      }
    }
  }
  return bindings;
}

const definer = (shims: readonly Shown[], symbol: string, version: string | undefined): string | undefined =>
  shims.find(({ object }) => object.image.find(symbol, version) !== undefined)?.path;

const holder = (capsules: readonly Capsule[], value: number): string | undefined =>
  capsules.flatMap(({ opened }) => [...opened.values()]).find(({ image }) => image.holds(value))?.path;
