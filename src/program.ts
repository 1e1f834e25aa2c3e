// The program that shall run: found as a shell finds it, and looked at, whether
// it can be hosted in this process.

import { accessSync, closeSync, constants, openSync, readSync, realpathSync, statSync } from "node:fs";
import { delimiter, resolve } from "node:path";
import { EI_CLASS, ELFCLASS32, ELFMAG, PT_DYNAMIC } from "../lib/elf/constants.ts";
import { ElfError } from "../lib/elf/error.ts";
import { FileBytes, readHeaders } from "../lib/elf/file.ts";
import type { Library } from "../lib/elf/library.ts";
import type { LibraryStore } from "../lib/tree/library-store.ts";
import { EXIT, ProgramError } from "./errors.ts";

export interface Program {
  /** argv[0]: as the user has written it. */
  readonly name: string;
  /** Absolute, without symbolic links. */
  readonly path: string;
  readonly library: Library;
}

/** Finds the program by path or in PATH. Throws ProgramError. */
export function findProgram(name: string, searchPath?: string): string {
  return realpathSync(locateProgram(name, searchPath));
}

/** As findProgram, but the path as execvp would make it. */
export function locateProgram(name: string, searchPath = process.env.PATH ?? ""): string {
  if (name.includes("/")) {
    const fault = faultOf(name);
    if (fault) throw new ProgramError(`Cannot run "${name}": ${fault.text}`, fault.exitCode);
    return name;
  }
  let found: { readonly path: string; readonly text: string } | undefined;
  for (const directory of searchPath.split(delimiter)) {
    const path = resolve(directory || ".", name);
    const fault = faultOf(path);
    if (!fault) return path;
    if (fault.exitCode === EXIT.notRunnable) found ??= { path, text: fault.text };
  }
  if (found) throw new ProgramError(`Cannot run "${found.path}": ${found.text}`, EXIT.notRunnable);
  throw new ProgramError(`Cannot run "${name}": no directory in PATH has it`, EXIT.notFound);
}

function faultOf(path: string): { text: string; exitCode: 126 | 127 } | undefined {
  try {
    const stat = statSync(path);
    if (stat.isDirectory()) return { text: "it is a directory", exitCode: EXIT.notRunnable };
    if (!stat.isFile()) return { text: "it is not a regular file", exitCode: EXIT.notRunnable };
    accessSync(path, constants.X_OK);
    return undefined;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return { text: "there is no such file", exitCode: EXIT.notFound };
    if (code === "EACCES") return { text: "permission denied", exitCode: EXIT.notRunnable };
    if (code === "ELOOP") return { text: "its symbolic links loop", exitCode: EXIT.notRunnable };
    throw error;
  }
}

/** Looks whether this process can host a program. Throws ProgramError that says why it cannot. */
export function readProgram(name: string, path: string, store: LibraryStore): Program {
  const cannot: Refusal = (why, cause) =>
    new ProgramError(`Cannot host "${path}": ${why}`, EXIT.notRunnable, cause === undefined ? {} : { cause });
  const { mode } = statSync(path);
  if (mode & 0o6000) throw cannot(`it is ${mode & 0o4000 ? "setuid" : "setgid"}, and would run without these rights`);
  try {
    // A file that is no dynamic program has no place in the store, and is looked at by hand for the reason.
    if (!store.known(path)) refuseOthers(path, cannot);
    store.check(path, "whole");
    const library = store.read(path);
    if (library.isFixed)
      throw cannot("it is linked to run at a fixed address (ET_EXEC), where this process has its own program");
    if (!library.hasInterpreter) throw cannot("it has no program interpreter: it is a library, or links itself");
    if (library.tls && library.tls.size > 0)
      throw cannot(
        `it has thread-local data of its own (PT_TLS, ${library.tls.size} bytes) at an offset that is taken`,
      );
    return { name, path, library };
  } catch (error) {
    if (error instanceof ElfError) throw cannot(`${error.structure}: ${error.fault}`, error);
    throw error;
  }
}

type Refusal = (why: string, cause?: unknown) => ProgramError;

/** Throws for what is no dynamically linked x86-64 file. */
function refuseOthers(path: string, cannot: Refusal): void {
  const head = firstLine(path, cannot);
  if (head.startsWith("#!"))
    throw cannot(`it is a script for "${head.slice(2).trim()}", and only programs themselves can be hosted as yet`);
  if (ELFMAG.some((byte, i) => head.charCodeAt(i) !== byte)) throw cannot("it is neither an ELF program nor a script");
  if (head.charCodeAt(EI_CLASS) === ELFCLASS32) throw cannot("it is a 32-bit program, and this process is 64-bit");
  using file = new FileBytes(path);
  const { phdrs } = readHeaders(file);
  if (!phdrs.some(({ p_type }) => p_type === PT_DYNAMIC)) throw cannot("it is statically linked");
}

/** Up to 256 bytes, one character a byte. */
function firstLine(path: string, cannot: Refusal): string {
  const bytes = new Uint8Array(256);
  try {
    const descriptor = openSync(path, "r");
    try {
      const length = readSync(descriptor, bytes);
      return Buffer.from(bytes.subarray(0, length)).toString("latin1").split("\n", 1)[0] ?? "";
    } finally {
      closeSync(descriptor);
    }
  } catch (error) {
    throw cannot(`it cannot be read (${(error as NodeJS.ErrnoException).code})`, error);
  }
}
