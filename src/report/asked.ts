// The subject of a report: a program, a script (then its interpreter), a library's file, or a soname. It is read, not
// run.

import { accessSync, constants } from "node:fs";
import { basename, dirname } from "node:path";
import { PT_DYNAMIC } from "../../lib/elf/constants.ts";
import { FileBytes, readHeaders } from "../../lib/elf/file.ts";
import type { Library } from "../../lib/elf/library.ts";
import { LinkError } from "../../lib/link-error.ts";
import { toOffset } from "../../lib/memory/numbers.ts";
import type { LibraryStore } from "../../lib/tree/library-store.ts";
import { unlessRefused } from "../../lib/unless.ts";
import { EXIT, ProgramError } from "../diagnostics/errors.ts";
import { fileAt } from "../plan/file-at.ts";
import { isShells, locateProgram, namedByEnv, SCRIPT_LIMIT, shebangOf } from "../plan/program.ts";

export type Asked =
  | {
      readonly kind: "program" | "library";
      readonly library: Library;
      /** $ORIGIN for a library: the directory by which it was named. */
      readonly origin: string | undefined;
      readonly scripts: readonly string[];
    }
  /** A static program loads nothing. */
  | { readonly kind: "static"; readonly path: string; readonly scripts: readonly string[] }
  /** No program has that name. */
  | { readonly kind: "soname"; readonly soname: string };

/** The ELF file. */
export const pathOf = (asked: Exclude<Asked, { kind: "soname" }>): string =>
  asked.kind === "static" ? asked.path : asked.library.path;

/**
 * A name with a slash is a file. Any other name is a program in PATH, or else a soname. Throws ProgramError, LinkError
 * and ElfError.
 */
export function findAsked(name: string, store: LibraryStore): Asked {
  if (name === "") throw new LinkError('Cannot find "": a program, a file or a soname is needed', { object: name });
  if (name.includes("/")) return look(name, store);
  try {
    return look(locateProgram(name), store);
  } catch (error) {
    if (!(error instanceof ProgramError) || error.exitCode !== EXIT.notFound) throw error;
    return { kind: "soname", soname: name };
  }
}

function look(name: string, store: LibraryStore): Asked {
  const scripts: string[] = [];
  const first = realpathOf(name);
  let path = first;
  for (let next = interpreterOf(path); next !== undefined; next = interpreterOf(path)) {
    scripts.push(path);
    if (scripts.length > SCRIPT_LIMIT)
      throw new ProgramError(`Cannot run "${first}": too many scripts are each other's interpreters`, EXIT.notRunnable);
    path = next;
  }
  const image = lookAtImage(path, store);
  // A program derives $ORIGIN from its real file, a library from the path by which it was opened.
  const origin = image.kind === "library" && path === first ? realpathOf(dirname(name)) : undefined;
  return image.kind === "static" ? { ...image, scripts } : { ...image, origin, scripts };
}

type Image = { readonly kind: "program" | "library"; readonly library: Library } | { kind: "static"; path: string };

function lookAtImage(path: string, store: LibraryStore): Image {
  {
    using file = new FileBytes(path);
    if (!readHeaders(file).phdrs.some(({ p_type }) => p_type === PT_DYNAMIC)) return { kind: "static", path };
  }
  const library = store.read(path);
  if (library.interpreter !== undefined && !library.isLibc) return { kind: "program", library };
  // A static-pie relocates itself.
  return library.isPie ? { kind: "static", path } : { kind: "library", library };
}

/**
 * The interpreter that the kernel, and then env(1), would run for a script. Undefined if it is not a script. Throws
 * ProgramError.
 */
function interpreterOf(path: string): string | undefined {
  const line = shebangOf(headOf(path));
  if (line === undefined) return isShells(path) && isExecutable(path) ? realpathOf("/bin/sh") : undefined;
  const [interpreter, argument] = line;
  if (interpreter === "")
    throw new ProgramError(`Cannot run "${path}": its first line names no interpreter`, EXIT.notRunnable);
  const named = basename(interpreter) === "env" ? namedByEnv(argument) : undefined;
  return realpathOf(locateProgram(named ?? interpreter));
}

const isExecutable = (path: string): boolean =>
  unlessRefused(() => accessSync(path, constants.X_OK) === undefined) ?? false;

/** The part of a script that the kernel reads, one character per byte. Throws what open(2) throws. */
function headOf(path: string): string {
  using file = new FileBytes(path);
  const { buffer, byteOffset, byteLength } = file.view(toOffset(0), Math.min(256, file.size), "first bytes");
  return Buffer.from(buffer, byteOffset, byteLength).toString("latin1");
}

/** Reports a missing file as a missing program, as a run would. */
function realpathOf(name: string): string {
  try {
    return fileAt(name);
  } catch (error) {
    if (!(error instanceof LinkError)) throw error;
    throw new ProgramError(error.message, EXIT.notFound, { cause: error });
  }
}
