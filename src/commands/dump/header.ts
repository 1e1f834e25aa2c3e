// The ELF header.

import { Ehdr } from "../../../lib/elf/ehdr.ts";
import { nameOf, OBJECT_TYPES, OS_ABIS } from "../../../lib/elf/names.ts";
import { recordAt } from "../../../lib/elf/record.ts";
import { columns, digits, type Part } from "./part.ts";
import type { Subject } from "./subject.ts";

/** Indices into e_ident. */
const EI_OSABI = 7;
const EI_ABIVERSION = 8;

function dataOf({ ehdr, head }: Subject) {
  return {
    ei_osabi: nameOf(OS_ABIS, ehdr.e_ident[EI_OSABI] ?? 0),
    ei_abiversion: ehdr.e_ident[EI_ABIVERSION] ?? 0,
    ...recordAt(Ehdr, head),
    e_type: nameOf(OBJECT_TYPES, ehdr.e_type),
    // readEhdr() accepts no other machine
    e_machine: "EM_X86_64",
  };
}

function* lines(subject: Subject): Generator<string> {
  const { ei_osabi, ei_abiversion, ...ehdr } = dataOf(subject);
  yield "ELF header";
  yield* columns([
    ["type", ehdr.e_type],
    ["machine", ehdr.e_machine],
    ["ABI", `${ei_osabi}, version ${ei_abiversion}`],
    ["version", `${ehdr.e_version}`],
    ["flags", digits(ehdr.e_flags)],
    ["entry point", ehdr.e_entry === 0 ? "none" : digits(ehdr.e_entry)],
    ["header size", `${ehdr.e_ehsize} bytes`],
    ["program headers", tableOf(ehdr.e_phnum, ehdr.e_phentsize, ehdr.e_phoff)],
    ["section headers", ehdr.e_shoff === 0 ? "none" : tableOf(ehdr.e_shnum, ehdr.e_shentsize, ehdr.e_shoff)],
    ...(ehdr.e_shoff === 0 ? [] : [["section names", `section ${ehdr.e_shstrndx}`]]),
  ]);
}

const tableOf = (number: string | number, size: string | number, offset: string | number): string =>
  `${number} of ${size} bytes, at offset ${digits(offset)}`;

export const header: Part = { summary: "the ELF header", data: dataOf, text: lines };
