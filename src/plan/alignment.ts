// How a program's image has to be aligned. The kernel respects the p_align of a program since 5.10, ld.so that of a
// dlopened file only since glibc 2.35. Many old programs have 2 MiB there, the linker's former default, without needing
// it. Their sections show what they need.

import { PT_LOAD } from "../../lib/elf/constants.ts";
import { ElfError } from "../../lib/elf/error.ts";
import { FileBytes, readHeaders } from "../../lib/elf/file.ts";
import { compareVersions } from "../../lib/elf/glibc-version.ts";
import { readSections } from "../../lib/elf/sections.ts";
import { Shdr } from "../../lib/elf/shdr.ts";
import { PAGE_SIZE } from "../../lib/memory/numbers.ts";
import { type ChosenGlibc, versionOf } from "./glibc/choice.ts";

const FIRST_TO_ALIGN = [2, 35];
const SHF_ALLOC = 2;

/** The alignment in bytes that a program needs and that glibc's dlopen does not provide; undefined if it does. */
export function missedAlignment(path: string, glibc: Pick<ChosenGlibc, "version">): number | undefined {
  if (compareVersions(versionOf(glibc), FIRST_TO_ALIGN) >= 0) return undefined;
  const alignment = alignmentOf(path);
  return alignment > PAGE_SIZE ? alignment : undefined;
}

function alignmentOf(path: string): number {
  using file = new FileBytes(path);
  const { ehdr, phdrs } = readHeaders(file);
  const said = Math.max(...phdrs.filter(({ p_type }) => p_type === PT_LOAD).map(({ p_align }) => p_align));
  if (said <= PAGE_SIZE) return said;
  try {
    const table = readSections(file, ehdr);
    if (!table) return said;
    const sections = Array.from({ length: table.length }, (_, i) => Shdr.at(table.view, i * Shdr.size));
    const loaded = sections.filter(({ sh_flags }) => sh_flags % (2 * SHF_ALLOC) >= SHF_ALLOC);
    return Math.min(said, Math.max(...loaded.map(({ sh_addralign }) => sh_addralign)));
  } catch (error) {
    // A program runs without section headers, so damaged ones do not matter.
    if (error instanceof ElfError) return said;
    throw error;
  }
}
