// Programs that are run and not linked: what is statically linked loads nothing, and
// files of 32 bits and programs for another libc are not ours. They may start others,
// which get isolated libraries as anything does that an attached program starts. So they
// are refused only where they would themselves load what is there for glibc's programs.

import { basename } from "node:path";
import { DF_1_PIE, EI_CLASS, ELFCLASS32, ELFMAG, ET_EXEC, PT_DYNAMIC, PT_INTERP } from "../../lib/elf/constants.ts";
import { readElf32 } from "../../lib/elf/elf32.ts";
import { ElfError } from "../../lib/elf/error.ts";
import { FileBytes, type FileImage, openImage, readHeaders } from "../../lib/elf/file.ts";
import { toOffset } from "../../lib/memory/numbers.ts";
import { unlessRefused } from "../../lib/system-error.ts";
import { EXIT, ProgramError } from "../diagnostics/errors.ts";

interface UnlinkedProgram {
  readonly path: string;
  /** Such as "is statically linked". */
  readonly why: string;
  /** PT_INTERP; undefined for what loads nothing. */
  readonly interpreter: string | undefined;
  /** Sonames that its ld.so looks for. */
  readonly needed: readonly string[];
  /** That ld.so takes a glibc program's library for its own. glibc's of 32 bits passes over another class of files. */
  readonly isMisled: boolean;
}

/** Undefined for what is linked, and for what is no program. Throws what open(2) throws, and ElfError. */
export function readUnlinked(path: string): UnlinkedProgram | undefined {
  using file = new FileBytes(path);
  if (file.size <= EI_CLASS) return undefined;
  const ident = file.view(toOffset(0), EI_CLASS + 1, "ELF header");
  if (ELFMAG.some((byte, i) => ident.getUint8(i) !== byte)) return undefined;
  if (ident.getUint8(EI_CLASS) === ELFCLASS32) {
    const { interpreter, needed } = readElf32(file);
    return { path, why: "is a 32-bit program", interpreter, needed, isMisled: false };
  }
  const { ehdr, phdrs } = readHeaders(file);
  const header = phdrs.find(({ p_type }) => p_type === PT_INTERP);
  if (header) {
    const interpreter = file.stringAt(header.p_offset, header.p_filesz, "PT_INTERP");
    return basename(interpreter).startsWith("ld-musl-") ? ofMusl(path, interpreter) : undefined;
  }
  const isDynamic = phdrs.some(({ p_type }) => p_type === PT_DYNAMIC);
  if (isDynamic && ehdr.e_type !== ET_EXEC && !isStaticPie(path)) return undefined;
  return { path, why: "is statically linked", interpreter: undefined, needed: [], isMisled: false };
}

function ofMusl(path: string, interpreter: string): UnlinkedProgram {
  using image = openImage(path);
  const why = `is for another libc than glibc (its interpreter is "${interpreter}")`;
  return { path, why, interpreter, needed: image.needed, isMisled: true };
}

/** A library has no interpreter either. Before binutils 2.26 linkers do not mark a program (DF_1_PIE). */
function isStaticPie(path: string): boolean {
  using image = openImage(path);
  return (image.flags1 & DF_1_PIE) !== 0 || isStartedAlone(image);
}

const isStartedAlone = ({ ehdr, soname, needed }: FileImage): boolean =>
  ehdr.e_entry !== 0 && soname === undefined && needed.length === 0;

/** As readUnlinked; undefined, too, for what cannot be read, or is damaged. */
export function findUnlinked(path: string): UnlinkedProgram | undefined {
  try {
    return unlessRefused(() => readUnlinked(path));
  } catch (error) {
    if (error instanceof ElfError) return undefined;
    throw error;
  }
}

/** Behind who it is. */
export const tellUnlinked = ({ why, interpreter }: UnlinkedProgram): string =>
  `${why}, so it ${interpreter === undefined ? "loads nothing itself" : "gets no isolated libraries itself"}; what it starts is linked`;

/** `shown` are the names of libraries that glibc's programs find. Throws ProgramError for one that would take them. */
export function refuseMisled({ path, why, needed, isMisled }: UnlinkedProgram, shown: ReadonlySet<string>): void {
  const taken = needed.filter((name) => shown.has(name));
  if (!isMisled || taken.length === 0) return;
  const message = `Cannot run "${path}": it ${why}, and needs ${taken.join(", ")}, which only glibc's programs get isolated`;
  throw new ProgramError(message, EXIT.notRunnable);
}
