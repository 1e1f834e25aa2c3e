// All that our reader can say of an image, as plain data: to be compared with
// what others say of it, or with the same image read from somewhere else.

import { PT_NOTE } from "../../../lib/elf/constants.ts";
import type { Image } from "../../../lib/elf/image.ts";
import { readNotes } from "../../../lib/elf/notes.ts";
import { Phdr } from "../../../lib/elf/phdr.ts";
import { Rela } from "../../../lib/elf/rela.ts";
import { isExported, Sym } from "../../../lib/elf/sym.ts";
import { sysvHash } from "../../../lib/elf/sysv-hash.ts";

/** A structure's fields: they are read lazily, and from its prototype. */
export function plain<T extends object>(layout: { readonly offsetOf: object }, struct: T): T {
  return Object.fromEntries(
    Object.keys(layout.offsetOf).map((field) => [field, struct[field as keyof T]]),
  ) as unknown as T;
}

export const notesOf = (image: Image) =>
  image.phdrs
    .filter(({ p_type }) => p_type === PT_NOTE)
    .flatMap(({ p_vaddr, p_filesz }) => [...readNotes(image.bytes.view(p_vaddr, p_filesz, "notes"))])
    .map(({ name, type, descriptor }) => ({ name, type, descriptor: descriptor.toHex() }));

export function everything(image: Image) {
  const { symbols, strings, versym } = image;
  return {
    type: image.ehdr.e_type,
    entry: image.ehdr.e_entry,
    phdrs: image.phdrs.map((phdr) => plain(Phdr, phdr)),
    tags: image.dynamic.entries.map(({ tag }) => tag),
    soname: image.soname,
    needed: image.needed,
    rpath: image.rpath,
    runpath: image.runpath,
    flags1: image.flags1,
    symbols: Array.from(symbols, (sym, index) => ({
      ...plain(Sym, sym),
      name: symbols.nameOf(sym),
      versionIndex: versym?.at(index),
      isHidden: versym?.isHidden(index),
      version: image.versionOf(index),
    })),
    lookups: Array.from(symbols, (sym, index) => {
      if (!isExported(sym)) return undefined;
      const name = strings.bytesAt(sym.st_name);
      return {
        byDefault: image.find(name),
        byVersion: image.findReferenced(name, image.versionOf(index)),
        bySysvHash: image.sysvHash && [...image.sysvHash.candidates(sysvHash(name))].includes(index),
      };
    }),
    verdefs: image.verdefs,
    verneeds: image.verneeds,
    rela: Array.from(image.rela, (rela) => plain(Rela, rela)),
    relativeCount: image.relativeCount,
    jmprel: Array.from(image.jmprel, (rela) => plain(Rela, rela)),
    relr: [...image.relr],
    notes: notesOf(image),
  };
}
