// What the kernel and ld.so do only for a program that they start, not for one loaded into a running process.

import { statSync } from "node:fs";
import { PT_LOAD } from "../../lib/elf/constants.ts";
import { ElfError } from "../../lib/elf/error.ts";
import { FileBytes, LARGEST_COPY, readHeaders } from "../../lib/elf/file.ts";
import { compareVersions } from "../../lib/elf/glibc-version.ts";
import type { Library } from "../../lib/elf/library.ts";
import { loadSegments } from "../../lib/elf/phdr.ts";
import { readSections } from "../../lib/elf/sections.ts";
import { Shdr } from "../../lib/elf/shdr.ts";
import { readMaps } from "../../lib/memory/maps.ts";
import { PAGE_SIZE } from "../../lib/memory/numbers.ts";
import { unless } from "../../lib/unless.ts";
import { NotHostableError } from "../diagnostics/errors.ts";
import { type ChosenGlibc, versionOf } from "./glibc/choice.ts";
import type { Program } from "./program.ts";

/** `own` are the libraries of the program's side, `hosts` those opened with them. Throws NotHostableError. */
export function refuseUnhostable(
  { path, library }: Program,
  own: readonly Library[],
  hosts: readonly Library[],
  glibc: ChosenGlibc,
): void {
  const refuse = (why: string): never => {
    throw new NotHostableError(path, why);
  };
  if (!library.startsByLibc) refuse("it begins in a way of its own, and not by libc's (__libc_start_main)");
  const [auditor] = library.auditors;
  if (auditor !== undefined)
    refuse(`it is watched by "${auditor}" (DT_AUDIT), which ld.so loads before a program alone`);
  const size = statSync(path).size > LARGEST_COPY ? sizeOfImage(path) : 0;
  if (size > LARGEST_COPY) refuse(`its file has ${size} bytes to be loaded, too many for a copy of it`);
  const alignment = missedAlignment(path, glibc);
  if (alignment !== undefined)
    refuse(`it has to be aligned to ${alignment} bytes, which before 2.35 glibc does for nothing that is opened`);
  const forStart = own.find(({ isForStart }) => isForStart);
  if (forStart)
    refuse(
      `"${forStart.path}" may be needed and not opened (DF_1_NOOPEN), and in this process all that it needs is opened`,
    );
  const [wanting] = wantingStacks([library, ...own, ...hosts], glibc);
  if (wanting && !hasExecutableStack())
    refuse(`"${wanting.path}" wants an executable stack, and since 2.41 glibc has it at the start of a process alone`);
}

/** Up to the end of the last segment: what follows (for debuggers) is not loaded. */
function sizeOfImage(path: string): number {
  using file = new FileBytes(path);
  const { phdrs } = readHeaders(file);
  return Math.max(...loadSegments(path, phdrs).map(({ p_offset, p_filesz }) => p_offset + p_filesz));
}

/**
 * The kernel respects the p_align of a program since 5.10, ld.so that of a dlopened file only since glibc 2.35. Many old
 * programs have 2 MiB there, the linker's former default, without needing it. Their sections show what they need.
 */
const FIRST_TO_ALIGN = [2, 35];
const SHF_ALLOC = 2;

/** The alignment in bytes that a program needs and that glibc's dlopen does not provide; undefined if it does. */
function missedAlignment(path: string, glibc: ChosenGlibc): number | undefined {
  if (compareVersions(versionOf(glibc), FIRST_TO_ALIGN) >= 0) return undefined;
  const alignment = alignmentOf(path);
  return alignment > PAGE_SIZE ? alignment : undefined;
}

function alignmentOf(path: string): number {
  using file = new FileBytes(path);
  const { ehdr, phdrs } = readHeaders(file);
  const said = Math.max(...phdrs.filter(({ p_type }) => p_type === PT_LOAD).map(({ p_align }) => p_align));
  if (said <= PAGE_SIZE) return said;
  // A program runs without section headers, so damaged ones do not matter.
  const table = unless([ElfError], () => readSections(file, ehdr));
  if (!table) return said;
  const sections = Array.from({ length: table.length }, (_, i) => Shdr.at(table.view, i * Shdr.size));
  const loaded = sections.filter(({ sh_flags }) => sh_flags % (2 * SHF_ALLOC) >= SHF_ALLOC);
  return Math.min(said, Math.max(...loaded.map(({ sh_addralign }) => sh_addralign)));
}

/**
 * Some libraries request executable stacks (mostly assembly without .note.GNU-stack). Up to glibc 2.40, loading such a
 * library makes all stacks executable, whoever loads it. Since 2.41, dlopen refuses it unless they already are, and ld.so
 * makes them so only at process start: if the program or one of its dependencies requests it, or by a tunable (this value
 * of it is in 2.42 and most builds of 2.41).
 */
export const EXECUTABLE_STACK = { name: "glibc.rtld.execstack", always: "2" } as const;

const FIRST_TO_REFUSE = [2, 41];

/** The libraries that dlopen refuses on that glibc unless all stacks are executable from the start. */
export const wantingStacks = (
  libraries: readonly Library[],
  { version }: Pick<ChosenGlibc, "version">,
): readonly Library[] =>
  compareVersions(versionOf({ version }), FIRST_TO_REFUSE) < 0
    ? []
    : libraries.filter(({ wantsExecutableStack }) => wantsExecutableStack);

/** Is this process's main stack executable? */
const hasExecutableStack = (): boolean => readMaps().some(({ path, executable }) => path === "[stack]" && executable);
