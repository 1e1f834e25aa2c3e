// What isolated libraries refer to and no library of their closure defines: natively the
// program, or a library of its side, gives them that (callbacks by name).

import { SHN_UNDEF } from "../../lib/elf/constants.ts";
import { openImage } from "../../lib/elf/file.ts";
import type { Library } from "../../lib/elf/library.ts";
import type { Closure } from "../../lib/tree/closure.ts";
import { lackedOf } from "../../lib/tree/lacked.ts";
import type { LibraryStore } from "../../lib/tree/library-store.ts";
import { NotHostableError } from "../diagnostics/errors.ts";

/**
 * Their names; none for nearly all. A weak reference counts where it is an isolated library's own: what is private has
 * many that nobody is to define. Found out once. Throws what reading throws.
 */
export function lackedBy(
  store: LibraryStore,
  { inLoadOrder }: Pick<Closure, "inLoadOrder">,
  isIsolated: (soname: string) => boolean,
): readonly string[] {
  const libraries = inLoadOrder.map(({ library }) => library);
  const optional = libraries.filter(({ soname }) => isIsolated(soname)).map(({ path }) => path);
  const paths = libraries.map(({ path }) => path);
  return store.ofAll(paths, `lacked ${optional.map((path) => paths.indexOf(path))}`, () =>
    lackedOf(paths, new Set(optional)),
  );
}

/**
 * In-process the program is loaded when the host's libraries are there. `own` are the program and its libraries,
 * `shared` the files of which both sides have one copy. Throws NotHostableError, and what reading throws.
 */
export function refuseLacked(
  program: string,
  own: readonly Library[],
  closure: Closure,
  isIsolated: (soname: string) => boolean,
  shared: Iterable<string>,
  store: LibraryStore,
): void {
  const lacked = lackedBy(store, closure, isIsolated);
  if (lacked.length === 0) return;
  const common = [...shared];
  for (const name of lacked) {
    if (common.some((path) => hasSymbol(path, name, "defined"))) continue;
    const giver = own.find(({ path }) => hasSymbol(path, name, "defined"));
    if (!giver) continue;
    const user = closure.inLoadOrder.find(({ library }) => hasSymbol(library.path, name, "wanted"));
    const whose = giver.path === program ? "the program" : `the program's "${giver.path}"`;
    throw new NotHostableError(
      program,
      `"${user?.library.path}" refers to "${name}", which nothing that it needs defines but ${whose}, and that is loaded later`,
    );
  }
}

function hasSymbol(path: string, name: string, how: "defined" | "wanted"): boolean {
  using image = openImage(path);
  if (how === "defined") return image.find(name) !== undefined;
  return [...image.symbols].some((sym) => sym.st_shndx === SHN_UNDEF && image.symbols.nameOf(sym) === name);
}
