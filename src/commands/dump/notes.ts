// The notes of PT_NOTE segments: build ID, ABI, and what the code was built for.

import { PT_NOTE } from "../../../lib/elf/constants.ts";
import { ElfError } from "../../../lib/elf/error.ts";
import { meaningOf, typeNameOf } from "../../../lib/elf/gnu-notes.ts";
import { type Note, readNotes } from "../../../lib/elf/notes.ts";
import type { Phdr } from "../../../lib/elf/phdr.ts";
import { printable } from "../../diagnostics/output.ts";
import { columns, type Part } from "./part.ts";
import type { Subject } from "./subject.ts";

/** How much of an unknown note is shown, in hexadecimal digits: enough to recognize it. */
const GLANCE = 64;

/** Intact files have a handful. From zeroes, which cost a sparse file nothing, one could read millions. */
const MOST = 1000;

function notesIn({ file }: Subject, { p_offset, p_filesz }: Phdr): Note[] {
  const notes = [...readNotes(file.view(p_offset, p_filesz, "PT_NOTE")).take(MOST + 1)];
  if (notes.length > MOST) throw new ElfError(file.path, "PT_NOTE", `it has more than ${MOST} notes`);
  return notes;
}

function dataOf(subject: Subject) {
  return subject.phdrs
    .filter(({ p_type }) => p_type === PT_NOTE)
    .flatMap((segment) => subject.attempt(() => notesIn(subject, segment)) ?? [])
    .map((note) => ({
      name: note.name,
      type: typeNameOf(note),
      meaning: meaningOf(note) ?? null,
      descriptor: note.descriptor.toHex(),
    }));
}

function* lines(subject: Subject): Generator<string> {
  const notes = dataOf(subject);
  yield `Notes: ${notes.length || "none"}`;
  const rows = notes.map(({ name, type, meaning, descriptor }) => {
    const glance = descriptor.length > GLANCE ? `${descriptor.slice(0, GLANCE)}...` : descriptor;
    return [printable(name), type, printable(meaning ?? glance)];
  });
  yield* columns(rows);
}

export const notes: Part = { summary: "notes: build ID, ABI and their like", data: dataOf, text: lines };
