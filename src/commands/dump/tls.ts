// Thread-local storage: what each thread gets a copy of, and what must fit in the static TLS that is reserved when a
// process starts.

import { DF_1_PIE, ET_EXEC, PT_TLS } from "../../../lib/elf/constants.ts";
import { Phdr } from "../../../lib/elf/phdr.ts";
import { recordAt } from "../../../lib/elf/record.ts";
import { readTls } from "../../../lib/elf/tls.ts";
import { printable } from "../../diagnostics/output.ts";
import { columns, count, digits, type Part } from "./part.ts";
import { type Subject, UNREADABLE } from "./subject.ts";

function dataOf(subject: Subject) {
  const { image, phdrs, phdrTable } = subject;
  const index = phdrs.findIndex(({ p_type }) => p_type === PT_TLS);
  const tls = image && subject.attempt(() => readTls(image));
  if (index < 0 && !tls) return undefined;
  const segment = index < 0 ? NONE : recordAt(Phdr, phdrTable, index * Phdr.size);
  return {
    vaddr: segment.p_vaddr,
    size: segment.p_memsz,
    initialized: segment.p_filesz,
    alignment: segment.p_align,
    isStatic: isProgram(subject) || (tls?.isStatic ?? null),
    exported: tls?.exported ?? [],
    wanted: tls?.wanted ?? [],
  };
}

/** A program's own block is in each thread's static TLS, but no relocation says so. */
const isProgram = ({ ehdr, image }: Subject): boolean =>
  ehdr.e_type === ET_EXEC || ((image?.flags1 ?? 0) & DF_1_PIE) !== 0;

function kindOf(isStatic: boolean | null): string {
  if (isStatic === null) return UNREADABLE;
  return isStatic ? "static: room is needed when the process starts" : "dynamic: may be allocated on first use";
}

/** A file without a TLS block that refers to blocks of others. */
const NONE = { p_vaddr: 0, p_memsz: 0, p_filesz: 0, p_align: 0 };

function* lines(subject: Subject): Generator<string> {
  const tls = dataOf(subject);
  if (!tls) {
    yield "Thread-local storage: none";
    return;
  }
  const { vaddr, size, initialized, alignment, isStatic, exported, wanted } = tls;
  yield `Thread-local storage: ${count(size, "byte")} a thread`;
  const own = [
    ["initialized", `${count(initialized, "byte")}, from vaddr ${digits(vaddr)}`],
    ["alignment", count(alignment, "byte")],
    ["kind", kindOf(isStatic)],
  ];
  const list = (names: readonly string[]): string => names.map(printable).join(" ");
  yield* columns([
    ...(size === 0 ? [] : own),
    ...(exported.length > 0 ? [["exported", list(exported)]] : []),
    ...(wanted.length > 0 ? [["of others", `${list(wanted)} (static)`]] : []),
  ]);
}

export const tls: Part = { summary: "thread-local storage", data: dataOf, text: lines };
