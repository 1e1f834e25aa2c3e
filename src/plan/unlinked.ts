// Programs that run without being linked: statically linked ones load nothing, 32-bit ones and those for another libc
// are not supported. What they start gets isolated libraries like any child of an attached program. So they are refused
// only if they would themselves load libraries meant for glibc programs.

import { basename } from "node:path";
import { DF_1_PIE, EI_CLASS, ELFCLASS32, ELFMAG, ET_EXEC, PT_DYNAMIC, PT_INTERP } from "../../lib/elf/constants.ts";
import { readElf32 } from "../../lib/elf/elf32.ts";
import { ElfError } from "../../lib/elf/error.ts";
import { FileBytes, openImage, readHeaders } from "../../lib/elf/file.ts";
import { toOffset } from "../../lib/memory/numbers.ts";
import { SystemFault, unless } from "../../lib/unless.ts";
import { EXIT, ProgramError } from "../diagnostics/errors.ts";

export interface UnlinkedProgram {
  readonly path: string;
  /** Such as "is statically linked". */
  readonly why: string;
  /** The path in PT_INTERP; undefined for a program that loads nothing. */
  readonly interpreter: string | undefined;
  /** Sonames that its ld.so searches for. */
  readonly needed: readonly string[];
  /** Its ld.so would accept libraries meant for glibc programs. 32-bit glibc skips files of another ELF class. */
  readonly isMisled: boolean;
}

/** Undefined for a program that is linked, and for other files. Throws what open(2) throws, and ElfError. */
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
    if (!basename(interpreter).startsWith("ld-musl-")) return undefined;
    using image = openImage(path);
    const why = `is for another libc than glibc (its interpreter is "${interpreter}")`;
    return { path, why, interpreter, needed: image.needed, isMisled: true };
  }
  const isDynamic = phdrs.some(({ p_type }) => p_type === PT_DYNAMIC);
  if (isDynamic && ehdr.e_type !== ET_EXEC && !isStaticPie(path)) return undefined;
  return { path, why: "is statically linked", interpreter: undefined, needed: [], isMisled: false };
}

/** A library has no interpreter either. Linkers before binutils 2.26 do not mark programs (DF_1_PIE). */
function isStaticPie(path: string): boolean {
  using image = openImage(path);
  const { ehdr, soname, needed, flags1 } = image;
  return (flags1 & DF_1_PIE) !== 0 || (ehdr.e_entry !== 0 && soname === undefined && needed.length === 0);
}

/** As readUnlinked; undefined also for files that are unreadable or damaged. */
export const findUnlinked = (path: string): UnlinkedProgram | undefined =>
  unless([ElfError, SystemFault], () => readUnlinked(path));

/** The predicate of a sentence about the program. */
export const tellUnlinked = ({ why, interpreter }: UnlinkedProgram): string =>
  `${why}, so it ${interpreter === undefined ? "loads nothing itself" : "gets no isolated libraries itself"}; what it starts is linked`;

/**
 * `shown` are the names of libraries shown to glibc programs. Throws ProgramError for a program that would load them.
 */
export function refuseMisled({ path, why, needed, isMisled }: UnlinkedProgram, shown: ReadonlySet<string>): void {
  const taken = needed.filter((name) => shown.has(name));
  if (!isMisled || taken.length === 0) return;
  const message = `Cannot run "${path}": it ${why}, and needs ${taken.join(", ")}, which only glibc's programs get isolated`;
  throw new ProgramError(message, EXIT.notRunnable);
}
