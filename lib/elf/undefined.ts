// What a library refers to and nobody defines, found from files before a loader tries. The loader rejects a library for
// a missing variable always, and for a missing function if functions are bound at once (RTLD_NOW, LD_BIND_NOW, `-z
// now`). It checks whole versions before any symbol (glibc, elf/dl-version.c).

import { DF_1_NOW, DF_BIND_NOW, DT_BIND_NOW, DT_FLAGS, SHN_UNDEF, STB_GLOBAL } from "./constants.ts";
import type { Image } from "./image.ts";
import { Rela, type RelaTable } from "./rela.ts";
import { bindingOf } from "./sym.ts";

interface Undefined {
  readonly name: string;
  readonly version: string | undefined;
}

/** The symbols that `image` requires and that no image in `scope` defines in any version. */
export function* undefinedIn(image: Image, scope: readonly Image[], bindsNow: boolean): Generator<Undefined> {
  const asked = new Set<number>();
  const { symbols } = image;
  for (const table of bindsNow || isBoundNow(image) ? [image.rela, image.jmprel] : [image.rela]) {
    for (const index of referredTo(table)) {
      if (asked.has(index)) continue;
      asked.add(index);
      const sym = symbols.at(index);
      if (sym.st_shndx !== SHN_UNDEF || bindingOf(sym) !== STB_GLOBAL) continue;
      const name = image.strings.bytesAt(sym.st_name);
      if (!scope.some((definer) => isThere(definer, name)))
        yield { name: symbols.nameOf(sym), version: image.versionOf(index) };
    }
  }
}

const isThere = (definer: Image, name: Uint8Array): boolean => definer.findAll(name).length > 0;

/** All its symbols are bound when it is loaded, whatever the dlopen's mode. */
export function isBoundNow({ dynamic, flags1 }: Image): boolean {
  const flags = dynamic.get(DT_FLAGS) ?? 0;
  return dynamic.get(DT_BIND_NOW) !== undefined || (flags & DF_BIND_NOW) !== 0 || (flags1 & DF_1_NOW) !== 0;
}

/** Hot: nearly all relocations of a large library refer to no symbol. */
function* referredTo({ view, length }: RelaTable): Generator<number> {
  for (let i = 0, at = Rela.offsetOf.r_sym; i < length; i++, at += Rela.size) {
    const index = view.getUint32(at, true);
    if (index !== 0) yield index;
  }
}

/**
 * The first version that `image` needs and the library of that name, `definer`, does not define. One without versions
 * has all.
 */
export function findMissingVersion(image: Image, named: (name: string) => Image | undefined) {
  for (const { file, name, isWeak } of image.verneeds) {
    const definer = isWeak ? undefined : named(file);
    if (!definer) continue;
    const { verdefs } = definer;
    if (verdefs.length > 0 && !verdefs.some((version) => version.name === name))
      return { definer, file, version: name };
  }
  return undefined;
}
