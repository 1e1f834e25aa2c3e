// Symbols that isolated libraries refer to and no library of their closure defines. Natively the program, or a library
// on its side, provides them (callbacks by name).

import { SHN_UNDEF } from "../../lib/elf/constants.ts";
import { openImage } from "../../lib/elf/file.ts";
import type { Library } from "../../lib/elf/library.ts";
import type { Closure } from "../../lib/tree/closure.ts";
import { lackedOf } from "../../lib/tree/lacked.ts";
import { NotHostableError } from "../diagnostics/errors.ts";
import type { HostTree } from "./host-tree.ts";

/**
 * Their names; for nearly all libraries there are none. A weak reference counts only in an isolated library: private
 * dependencies have many that are never defined. The result is cached. Throws what reading throws.
 */
export function lackedBy({ search, isolated }: HostTree, { inLoadOrder }: Closure): readonly string[] {
  const libraries = inLoadOrder.map(({ library }) => library);
  const optional = libraries.filter(({ soname }) => isolated.includes(soname)).map(({ path }) => path);
  const paths = libraries.map(({ path }) => path);
  return search.store.ofAll(paths, `lacked ${optional.map((path) => paths.indexOf(path))}`, () =>
    lackedOf(paths, new Set(optional)),
  );
}

/**
 * In-process, the program is loaded after the host's libraries, so it cannot define their symbols. `own` are the
 * program and its libraries, `shared` the files of which both sides have one copy. Throws NotHostableError, and what
 * reading throws.
 */
export function refuseLacked(
  program: string,
  own: readonly Library[],
  host: HostTree,
  closure: Closure,
  shared: Iterable<string>,
): void {
  const lacked = lackedBy(host, closure);
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
