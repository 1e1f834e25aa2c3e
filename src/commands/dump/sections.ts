// The section headers. Loading does not need them, and many files have none.

import { flagsOf, nameOf, SECTION_FLAGS, SECTION_TYPES } from "../../../lib/elf/names.ts";
import { recordAt } from "../../../lib/elf/record.ts";
import { readSections } from "../../../lib/elf/sections.ts";
import { Shdr } from "../../../lib/elf/shdr.ts";
import { printable } from "../../diagnostics/output.ts";
import { columns, digits, type Part } from "./part.ts";
import { type Subject, UNREADABLE } from "./subject.ts";

function dataOf(subject: Subject) {
  const table = subject.attempt(() => readSections(subject.file, subject.ehdr));
  if (!table) return undefined;
  return Array.from({ length: table.length }, (_, i) => {
    const { sh_name, sh_type, sh_flags } = Shdr.at(table.view, i * Shdr.size);
    const record = recordAt(Shdr, table.view, i * Shdr.size);
    return {
      name: subject.attempt(() => table.names?.at(sh_name)) ?? null,
      ...record,
      sh_type: nameOf(SECTION_TYPES, sh_type),
      sh_flags: Number.isFinite(sh_flags) ? flagsOf(SECTION_FLAGS, sh_flags) : [digits(record.sh_flags)],
    };
  });
}

/** One letter for each flag. A flag without a letter is shown as a number. */
const LETTERS: Readonly<Record<string, string>> = {
  SHF_WRITE: "w",
  SHF_ALLOC: "a",
  SHF_EXECINSTR: "x",
  SHF_MERGE: "m",
  SHF_STRINGS: "s",
  SHF_INFO_LINK: "i",
  SHF_LINK_ORDER: "l",
  SHF_GROUP: "g",
  SHF_TLS: "t",
  SHF_COMPRESSED: "c",
  SHF_GNU_RETAIN: "r",
  SHF_EXCLUDE: "e",
};

function* lines(subject: Subject): Generator<string> {
  const sections = dataOf(subject);
  if (!sections) {
    yield `Section headers: ${subject.ehdr.e_shoff === 0 ? "none" : UNREADABLE}`;
    return;
  }
  yield `Section headers: ${sections.length}`;
  const rows = sections.map((section, i) => [
    `${i}`,
    printable(section.name ?? "?"),
    section.sh_type,
    section.sh_flags.map((flag) => LETTERS[flag] ?? ` ${flag}`).join(""),
    ...[section.sh_addr, section.sh_offset, section.sh_size].map(digits),
    ...[section.sh_link, section.sh_info, section.sh_entsize, section.sh_addralign].map(String),
  ]);
  const heads = ["", "name", "type", "flags", "vaddr", "offset", "size", "link", "info", "entry", "align"];
  yield* columns([heads, ...rows], [0, 4, 5, 6, 7, 8, 9, 10]);
  const legend = Object.entries(LETTERS).map(([flag, letter]) => `${letter} ${flag.replace(/^SHF_(GNU_)?/, "")}`);
  yield `  flags: ${legend.slice(0, 6).join(", ")},`;
  yield `         ${legend.slice(6).join(", ")}`;
}

export const sections: Part = { summary: "the section headers, where there are any", data: dataOf, text: lines };
