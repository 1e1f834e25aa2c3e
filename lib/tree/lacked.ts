// The symbols that some libraries refer to and none of them defines, so that another object has to. Versioned
// references name the library that they were linked to and are ignored.

import { SHN_UNDEF, STB_LOCAL, STB_WEAK, STT_TLS, VER_NDX_GLOBAL } from "../elf/constants.ts";
import { type FileImage, openImage } from "../elf/file.ts";
import { Sym } from "../elf/sym.ts";

/** Symbols that compilers make every library refer to. */
const OF_TOOLCHAINS = new Set([
  "__gmon_start__",
  "__cxa_finalize",
  "_ITM_deregisterTMCloneTable",
  "_ITM_registerTMCloneTable",
  "_Jv_RegisterClasses",
]);

/**
 * Each symbol once. `paths` are the libraries; for those in `optional`, weak references count too. Throws what open(2)
 * throws, and ElfError.
 */
export function lackedOf(paths: readonly string[], optional: ReadonlySet<string>): string[] {
  using open = new DisposableStack();
  const images = paths.map((path) => open.use(openImage(path)));
  const bySoname = new Map(images.map((image) => [image.soname ?? image.path, image]));
  const known = new Map<string, boolean>();
  for (const image of images) {
    // The definer is nearly always a direct dependency.
    const named = image.needed.flatMap((name) => bySoname.get(name) ?? []);
    const others = [image, ...images];
    for (const index of undefinedIn(image, optional.has(image.path))) {
      const name = image.symbols.nameOf(image.symbols.at(index));
      if (known.has(name) || OF_TOOLCHAINS.has(name)) continue;
      const has = (other: FileImage) => other.findAll(name).length > 0;
      known.set(name, named.some(has) || others.some(has));
    }
  }
  return [...known].filter(([, isDefined]) => !isDefined).map(([name]) => name);
}

// Hot: libLLVM has 60,000 symbols.
function* undefinedIn({ symbols, versym }: FileImage, hasOptional: boolean): Generator<number> {
  const { view, length } = symbols;
  const { st_info, st_shndx } = Sym.offsetOf;
  for (let index = 1; index < length; index++) {
    const at = index * Sym.size;
    if (view.getUint16(at + st_shndx, true) !== SHN_UNDEF) continue;
    const info = view.getUint8(at + st_info);
    const binding = info >> 4;
    if (binding === STB_LOCAL || (info & 15) === STT_TLS || (binding === STB_WEAK && !hasOptional)) continue;
    if (versym === undefined || versym.at(index) <= VER_NDX_GLOBAL) yield index;
  }
}
