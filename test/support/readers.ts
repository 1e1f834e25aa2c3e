// What our reader says of a file, in the terms of others: readelf's words (see
// test/lib/elf/readelf.ts), elfinfo's records.

import { type ELF, type ELFRelocationSection, type ELFSymbolSection, getSectionByName, open } from "elfinfo";
import { DT_FLAGS, DT_FLAGS_1, DT_PLTREL } from "../../lib/elf/constants.ts";
import { Ehdr } from "../../lib/elf/ehdr.ts";
import type { FileImage } from "../../lib/elf/file.ts";
import { FLAGS, FLAGS_1, flagsOf, nameOf, OBJECT_TYPES, SECTION_TYPES, TAGS } from "../../lib/elf/names.ts";
import { Phdr } from "../../lib/elf/phdr.ts";
import { Rela } from "../../lib/elf/rela.ts";
import { readSections } from "../../lib/elf/sections.ts";
import { Shdr } from "../../lib/elf/shdr.ts";
import { bindingOf, typeOf } from "../../lib/elf/sym.ts";
import { VersionLabels } from "../../lib/elf/version-labels.ts";
import { readVersionParents } from "../../lib/elf/versions.ts";
import { hex } from "../../lib/memory/numbers.ts";
import { plain } from "../lib/elf/everything.ts";
import type { relocationsOf, wholeOf } from "../lib/elf/readelf.ts";

const EI_OSABI = 7;
const ELFOSABI_GNU = 3;
const NUMBERS = Object.keys(Ehdr.offsetOf).slice(Object.keys(Ehdr.offsetOf).indexOf("e_version"));

/** As wholeOf(), which has it from readelf. */
export function asReadelf(image: FileImage): ReturnType<typeof wholeOf> {
  const { ehdr, symbols, versym, verdefView } = image;
  const labels = new VersionLabels(image);
  return {
    header: {
      magic: ehdr.e_ident.toHex(),
      type: nameOf(OBJECT_TYPES, ehdr.e_type).slice("ET_".length),
      machine: "Advanced Micro Devices X86-64",
      numbers: NUMBERS.map((field) => Number(ehdr[field as keyof Ehdr])),
    },
    phdrs: image.phdrs.map((phdr) => plain(Phdr, phdr)),
    sections: Array.from(sectionsOf(image), ([name, shdr]) => sectionInWords(name, shdr, image)),
    dynamic: [
      ...image.dynamic.entries.map(({ tag, value }) => ({ tag, value: wordsOf(image, tag, value) })),
      { tag: 0, value: "0x0" },
    ],
    symbols: Array.from(symbols, (sym, index) => {
      const name = symbols.nameOf(sym);
      const label = name + labels.suffixOf(index);
      return {
        st_value: sym.st_value,
        st_size: sym.st_size,
        type: typeOf(sym),
        binding: bindingOf(sym),
        visibility: sym.st_other & 3,
        st_shndx: sym.st_shndx,
        // A version's own symbol is shown without its version, which is its name.
        name: image.versionOf(index) === name ? name : label,
      };
    }),
    versionIndexes: versym
      ? Array.from(symbols, (_, i) => `${versym.at(i).toString(16)}${versym.isHidden(i) ? "h" : ""}`)
      : [],
    verdefs: [...image.verdefs],
    verneeds: image.verneeds.map(({ nameOffset: _, ...need }) => need),
    parents: verdefView ? readVersionParents(image.path, verdefView, image.strings).flat() : [],
  };
}

function* sectionsOf({ file, ehdr }: FileImage): Generator<[name: string, shdr: Shdr]> {
  const table = readSections(file, ehdr);
  for (let i = 0; i < (table?.length ?? 0); i++) {
    const shdr = Shdr.at(table?.view as DataView, i * Shdr.size);
    yield [table?.names?.at(shdr.sh_name) ?? "", shdr];
  }
}

/** readelf's letters for bit 0, 1, ... of sh_flags, and for SHF_GNU_RETAIN. */
const LETTERS = new Map([..."WAX MSILOGTC"].map((letter, bit) => [2 ** bit, letter]));
const RETAIN = 2 ** 21;

function sectionInWords(name: string, shdr: Shdr, { ehdr }: FileImage) {
  const { sh_type, sh_flags, sh_addr, sh_offset, sh_size, sh_entsize, sh_link, sh_info, sh_addralign } = shdr;
  const type = nameOf(SECTION_TYPES, sh_type).replace("SHT_", "");
  // It has a letter for it in files for GNU, and calls it the operating system's in others (binutils 2.40).
  const letters = new Map([...LETTERS, [RETAIN, ehdr.e_ident[EI_OSABI] === ELFOSABI_GNU ? "R" : "o"]]);
  return {
    name,
    type: type.startsWith("GNU_ver") ? type.slice("GNU_".length).toUpperCase() : type,
    flags: flagsOf(letters, sh_flags).join(""),
    numbers: [sh_addr, sh_offset, sh_size, sh_entsize, sh_link, sh_info, sh_addralign],
  };
}

const STRINGS: Readonly<Record<string, string>> = {
  DT_NEEDED: "Shared library",
  DT_SONAME: "Library soname",
  DT_RPATH: "Library rpath",
  DT_RUNPATH: "Library runpath",
};

/** An entry of the dynamic section as readelf writes it. */
function wordsOf({ strings }: FileImage, tag: number, value: number): string {
  const name = nameOf(TAGS, tag);
  const string = STRINGS[name];
  if (string !== undefined) return `${string}: [${strings.at(value)}]`;
  if (tag === DT_FLAGS)
    return flagsOf(FLAGS, value)
      .map((flag) => flag.slice("DF_".length))
      .join(" ");
  if (tag === DT_FLAGS_1)
    return `Flags: ${flagsOf(FLAGS_1, value)
      .map((flag) => flag.slice("DF_1_".length))
      .join(" ")}`;
  if (tag === DT_PLTREL) return nameOf(TAGS, value).slice("DT_".length);
  // readelf 2.40 shows no value of it, since all that it says is that it is there, and does not know the two behind.
  if (name === "DT_BIND_NOW") return "";
  if (name === "DT_X86_64_PLTSZ" || name === "DT_X86_64_PLTENT") return hex(value);
  if (/(SZ|ENT)$/.test(name)) return `${value} (bytes)`;
  return /(COUNT|NUM)$/.test(name) ? `${value}` : hex(value);
}

/** As relocationsOf(), which has them from readelf. */
export function relocationsAsReadelf(image: FileImage): ReturnType<typeof relocationsOf> {
  const records = (table: Iterable<Rela>) => Array.from(table, (rela) => plain(Rela, rela));
  return { rela: records(image.rela), jmprel: records(image.jmprel), relr: [...image.relr] };
}

/** What elfinfo reads: headers, sections, symbols and relocations. Throws where it does not. */
export async function byElfinfo(path: string) {
  const { success, elf, errors, warnings } = await open(path);
  if (!success || !elf || errors.length + warnings.length > 0)
    throw new Error(`elfinfo cannot read "${path}": ${[...errors, ...warnings].join("; ")}`);
  const { symbols = [] } = (getSectionByName(elf, ".dynsym") as ELFSymbolSection | undefined) ?? {};
  return {
    header: [
      ...[elf.abi, elf.abiVersion, elf.type, elf.isa, elf.isaVersion, elf.entryPoint, elf.programHeaderOffset],
      ...[elf.sectionHeaderOffset, elf.flags, elf.programHeaderEntrySize, elf.numProgramHeaderEntries],
      ...[elf.sectionHeaderEntrySize, elf.numSectionHeaderEntries, elf.shstrIndex],
    ].map(Number),
    segments: elf.segments.map(({ type, flags, offset, vaddr, paddr, filesz, memsz, align }) =>
      [type, flags, offset, vaddr, paddr, filesz, memsz, align].map(Number),
    ),
    sections: elf.sections.map(({ name, nameix, type, flags, addr, offset, size, link, info, addralign, entsize }) => ({
      name: nameix === 0 ? "" : name,
      numbers: [nameix, type, flags, addr, offset, size, link, info, addralign, entsize].map(Number),
    })),
    symbols: symbols.map(({ name, nameix, info, other, shndx, value, size }) => ({
      name,
      numbers: [nameix, info, other, shndx, value, size].map(Number),
    })),
    rela: relocationsIn(elf, ".rela.dyn"),
    jmprel: relocationsIn(elf, ".rela.plt"),
  };
}

function relocationsIn(elf: ELF, section: string): number[][] {
  const { relocations = [] } = (getSectionByName(elf, section) as ELFRelocationSection | undefined) ?? {};
  return relocations.map(({ addr, type, symbolIndex, addend = 0 }) => [addr, type, symbolIndex, addend].map(Number));
}

/** The same from our reader. */
export function asElfinfo(image: FileImage): Awaited<ReturnType<typeof byElfinfo>> {
  const { ehdr, symbols } = image;
  const { e_ident, e_ehsize: _, ...fields } = plain(Ehdr, ehdr);
  return {
    header: [e_ident[EI_OSABI] ?? 0, e_ident[EI_OSABI + 1] ?? 0, ...Object.values(fields).map(Number)],
    segments: image.phdrs.map((phdr) => Object.values(plain(Phdr, phdr))),
    sections: Array.from(sectionsOf(image), ([name, shdr]) => ({ name, numbers: Object.values(plain(Shdr, shdr)) })),
    symbols: Array.from(symbols, (sym) => ({
      name: symbols.nameOf(sym),
      numbers: [sym.st_name, sym.st_info, sym.st_other, sym.st_shndx, sym.st_value, sym.st_size],
    })),
    rela: Array.from(image.rela, ({ r_offset, r_type, r_sym, r_addend }) => [r_offset, r_type, r_sym, r_addend]),
    jmprel: Array.from(image.jmprel, ({ r_offset, r_type, r_sym, r_addend }) => [r_offset, r_type, r_sym, r_addend]),
  };
}
