// Opens the program and all its dependencies in ld.so's order: the program, preloaded libraries, then DT_NEEDED breadth
// first. Every file is checked before any is mapped, so later passes may trust them.

import { realpathSync } from "node:fs";
import { checkImage } from "../elf/check.ts";
import { DT_REL, DT_RELSZ, PT_PHDR } from "../elf/constants.ts";
import { ElfError } from "../elf/error.ts";
import { type FileImage, openImage } from "../elf/file.ts";
import type { Library } from "../elf/library.ts";
import { Loading, type Need } from "../tree/dependencies.ts";
import type { Search } from "../tree/search.ts";
import type { OpenObject } from "./objects.ts";

/**
 * `preload` has sonames or paths (LD_PRELOAD). The files stay open until the caller disposes of the images. Throws
 * LinkError for a missing library, with its requester and the searched places, and ElfError for a file that is
 * malformed or cannot be linked.
 */
export function openObjects(search: Search, program: string, preload: readonly string[] = []): OpenObject[] {
  // $ORIGIN is the directory of the real file.
  const library = search.libraryAt(realpathSync(program));
  const loading = new Loading(search, () => false);
  // A library may also need the program, by its soname.
  const { node, preloaded } = loading.start(library, program, "", preload);
  const indexes = new Map(loading.nodes.map((one, i) => [one, i]));
  const indexesOf = (needs: readonly Need[]): number[] =>
    needs.flatMap((need) => {
      if ("fault" in need) throw need.fault;
      return "node" in need ? [indexes.get(need.node) ?? 0] : [];
    });

  const opened: OpenObject[] = [];
  const add = (of: Library, name: string, why: string | undefined, needs: readonly Need[]): FileImage => {
    const needed = indexesOf(needs);
    const image = openImage(of.path);
    opened.push({ image, index: opened.length, name, path: of.path, why, library: of, needs: needed });
    check(image);
    return image;
  };
  try {
    checkProgram(add(library, program, undefined, [...preloaded, ...node.needs]));
    for (const other of loading.nodes.slice(1)) add(other.library, other.name, other.why, other.needs);
    return opened;
  } catch (error) {
    closeObjects(opened);
    throw error;
  }
}

export function closeObjects(objects: readonly OpenObject[]): void {
  for (const { image } of objects) image[Symbol.dispose]();
}

/** Checks headers that matter only for the program: its entry, and PT_PHDR. */
function checkProgram(image: FileImage): void {
  const { path, ehdr, loads } = image;
  const isMapped = (vaddr: number) =>
    loads.some(({ p_vaddr, p_memsz }) => vaddr >= p_vaddr && vaddr < p_vaddr + p_memsz);
  // A library has no entry.
  if (ehdr.e_entry !== 0 && !isMapped(ehdr.e_entry)) throw new ElfError(path, "ELF header", "e_entry is in no segment");
  const headers = image.segment(PT_PHDR);
  if (headers && !isMapped(headers.p_vaddr)) throw new ElfError(path, "PT_PHDR", "it is in no segment");
}

function check(image: FileImage): void {
  if ((image.dynamic.get(DT_RELSZ) ?? 0) !== 0 && image.dynamic.get(DT_REL) !== undefined)
    throw new ElfError(image.path, "dynamic section", "DT_REL has relocations without addends, and x86-64 has none");
  // Relocations are checked one by one when they are applied.
  checkImage(image, "tables");
  if (image.loads.length === 0) throw new ElfError(image.path, "program headers", "there is no PT_LOAD");
  // From now on, strings are read from the whole table.
  void image.strings.bytes;
}
