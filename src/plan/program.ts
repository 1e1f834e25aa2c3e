// The program to run: finds it as a shell does, and checks whether it can be hosted in this process or attached in one
// of its own.

import { accessSync, constants, realpathSync, statSync } from "node:fs";
import { basename, delimiter, resolve } from "node:path";
import { ELFMAG, ET_EXEC, PT_DYNAMIC, PT_INTERP, PT_TLS } from "../../lib/elf/constants.ts";
import { ElfError } from "../../lib/elf/error.ts";
import { FileBytes, readHeaders } from "../../lib/elf/file.ts";
import type { Library } from "../../lib/elf/library.ts";
import type { System } from "../../lib/process/system.ts";
import { readBeginning } from "../../lib/regular-file.ts";
import type { LibraryStore } from "../../lib/tree/library-store.ts";
import { unlessRefused } from "../../lib/unless.ts";
import { EXIT, NotHostableError, ProgramError } from "../diagnostics/errors.ts";
import { findUnlinked, readUnlinked, tellUnlinked, type UnlinkedProgram } from "./unlinked.ts";

export interface Program {
  /** argv[0], as the user wrote it. */
  readonly name: string;
  /** Absolute, without symbolic links. */
  readonly path: string;
  readonly library: Library;
}

/** Finds the program by path or in PATH. Throws ProgramError. */
export const findProgram = (name: string, searchPath?: string): string => realpathSync(locateProgram(name, searchPath));

/** As findProgram, but returns the path as execvp would make it. */
export function locateProgram(name: string, searchPath = process.env.PATH ?? ""): string {
  if (name === "") throw new ProgramError('Cannot run "": a path, or a name that PATH has, is needed', EXIT.notFound);
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

interface Fault {
  readonly text: string;
  readonly exitCode: 126 | 127;
}

function faultOf(path: string): Fault | undefined {
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

/**
 * Checks that this process can host a program. Throws NotHostableError, and ProgramError for one that cannot be run in
 * either mode.
 */
export function readProgram(name: string, path: string, store: LibraryStore): Program {
  const cannot: Refusal = (why, cause) => refusal(path, "host", why, cause);
  const cannotHere = (why: string) => new NotHostableError(path, why);
  refusePrivileged(path, "host");
  try {
    // Only dynamic programs are in the store. Any other file is examined here, to give the reason.
    if (!store.known(path)) refuseOthers(path, cannot);
    const unlinked = readUnlinked(path);
    if (unlinked) throw cannotHere(`it ${unlinked.why}, and only what this process's own ld.so links can be hosted`);
    store.check(path, "whole");
    const library = store.read(path);
    if (library.isFixed)
      throw cannotHere("it is linked to run at a fixed address (ET_EXEC), where this process has its own program");
    if (library.interpreter === undefined)
      throw cannot("it has no program interpreter: it is a library, or links itself");
    if (library.tls && library.tls.size > 0)
      throw cannotHere(
        `it has thread-local data of its own (PT_TLS, ${library.tls.size} bytes) at an offset that is taken`,
      );
    return { name, path, library };
  } catch (error) {
    if (error instanceof ElfError) throw cannot(`${error.structure}: ${error.fault}`, error);
    throw error;
  }
}

/**
 * Why the headers of a program require it to be attached; undefined if it may be hosted, or cannot be run at all. This
 * is cheap, so as not to delay programs that can be hosted.
 */
export function reasonToAttach(path: string): string | undefined {
  try {
    const head = firstBytes(path);
    if (head.startsWith("#!")) return "it is a script";
    if (isText(head)) return "it is a script without an interpreter of its own";
    if (!isElf(head)) return undefined;
    const unlinked = findUnlinked(path);
    if (unlinked) return `it ${tellUnlinked(unlinked)}`;
    using file = new FileBytes(path);
    const { ehdr, phdrs } = readHeaders(file);
    if (!phdrs.some(({ p_type }) => p_type === PT_DYNAMIC)) return undefined;
    if (ehdr.e_type === ET_EXEC) return "it is linked to run at a fixed address (ET_EXEC)";
    if (phdrs.some(({ p_type, p_memsz }) => p_type === PT_TLS && p_memsz > 0))
      return "it has thread-local data of its own (PT_TLS)";
    return undefined;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EACCES") return "it cannot be read";
    if (error instanceof ElfError) return undefined;
    throw error;
  }
}

/**
 * Checks that a program can run attached: in a process of its own, whose ld.so obeys LD_LIBRARY_PATH. Throws
 * ProgramError.
 */
export function checkAttachable(path: string, searchPath: string, system: System): void {
  refusePrivileged(path, "run");
  refuseCapabilities(path, system);
  const cannot: Refusal = (why, cause) => refusal(path, "run", why, cause);
  try {
    const head = firstBytes(path);
    if (head.startsWith("#!")) checkInterpreter(path, searchPath, system);
    if (head.startsWith("#!") || isText(head)) return;
    refuseOthers(path, cannot);
    const unlinked = readUnlinked(path);
    const interpreter = unlinked ? unlinked.interpreter : linkedBy(path);
    if (!unlinked && interpreter === undefined)
      throw cannot("it has no program interpreter: it is a library, or links itself");
    refuseInterpreter(path, interpreter);
  } catch (error) {
    // A file that we cannot read may still be executable.
    if ((error as NodeJS.ErrnoException).code === "EACCES") return;
    if (error instanceof ElfError) throw cannot(`${error.structure}: ${error.fault}`, error);
    throw error;
  }
}

/** The path in PT_INTERP. */
function linkedBy(path: string): string | undefined {
  using file = new FileBytes(path);
  const header = readHeaders(file).phdrs.find(({ p_type }) => p_type === PT_INTERP);
  return header && file.stringAt(header.p_offset, header.p_filesz, "PT_INTERP");
}

/** Throws ProgramError if the interpreter is missing or not executable. */
function refuseInterpreter(path: string, interpreter: string | undefined): void {
  const fault = interpreter === undefined ? undefined : faultOf(interpreter);
  if (fault)
    throw new ProgramError(
      `Cannot run "${path}": its interpreter is "${interpreter}", and ${fault.text}`,
      fault.exitCode,
    );
}

/** How many scripts can be each other's interpreters: BINPRM_MAX_RECURSION (4), and the first. */
export const SCRIPT_LIMIT = 5;

/** Checks a script's interpreters, and reports faults as a shell would. Throws ProgramError. */
function checkInterpreter(script: string, searchPath: string, system: System): void {
  let path = script;
  for (let depth = 0; depth < SCRIPT_LIMIT; depth++) {
    const [interpreter = "", argument = ""] = shebangOf(firstBytes(path)) ?? [];
    if (interpreter === "") throw refusal(path, "run", "its first line names no interpreter");
    refuseInterpreter(path, interpreter);
    const real = realpathSync(interpreter);
    refusePrivileged(real, "run");
    refuseCapabilities(real, system);
    if (basename(interpreter) === "env") checkNamed(path, argument, searchPath);
    try {
      if (!firstBytes(interpreter).startsWith("#!")) return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "EACCES") return;
      throw error;
    }
    path = interpreter;
  }
  throw refusal(script, "run", "its interpreter is a script, whose interpreter is one, and so on: too many");
}

/**
 * The command that env(1) looks for when it is a script's interpreter. Undefined for options other than -S, and for
 * arguments that it has to expand.
 */
export function namedByEnv(argument: string): string | undefined {
  const words = argument.replace(/^(-S|--split-string[= ])\s*/, "").split(/\s+/);
  const name = words.find((word) => !/^\w+=/.test(word)) ?? "";
  return name === "" || name.startsWith("-") || /["'$\\]/.test(argument) ? undefined : name;
}

function checkNamed(script: string, argument: string, searchPath: string): void {
  const name = namedByEnv(argument);
  if (name === undefined) return;
  try {
    locateProgram(name, searchPath);
  } catch (error) {
    if (!(error instanceof ProgramError)) throw error;
    const why = `its interpreter is "${name}", and ${error.message.replace(/^[^:]*: /, "")}`;
    throw new ProgramError(`Cannot run "${script}": ${why}`, error.exitCode, { cause: error });
  }
}

/**
 * The interpreter and its one argument, as the kernel reads them (binfmt_script.c). Undefined if there is no such line.
 */
export function shebangOf(head: string): [interpreter: string, argument: string] | undefined {
  const [, interpreter = "", argument = ""] = /^#![ \t]*([^ \t\n\0]*)[ \t]*([^\n\0]*)/.exec(head) ?? [];
  return head.startsWith("#!") ? [interpreter, argument.trimEnd()] : undefined;
}

type Verb = "host" | "run";
type Refusal = (why: string, cause?: unknown) => ProgramError;

const refusal = (path: string, verb: Verb, why: string, cause?: unknown): ProgramError =>
  new ProgramError(`Cannot ${verb} "${path}": ${why}`, EXIT.notRunnable, cause === undefined ? {} : { cause });

/** Throws for a setuid or setgid program. */
function refusePrivileged(path: string, verb: Verb): void {
  const { mode } = statSync(path);
  if ((mode & 0o6000) === 0) return;
  const consequence = { host: "would run without these rights", run: LOADER_REFUSES };
  throw refusal(path, verb, `it is ${mode & 0o4000 ? "setuid" : "setgid"}, and ${consequence[verb]}`);
}

const LOADER_REFUSES = "ld.so passes over LD_LIBRARY_PATH for such programs";

/** Throws ProgramError for a program whose file has capabilities. */
export function refuseCapabilities(path: string, system: System): void {
  if (system.hasAttribute(path, "security.capability"))
    throw refusal(path, "run", `its file gives it capabilities, and ${LOADER_REFUSES}`);
}

/** Throws for files that are not ELF. */
function refuseOthers(path: string, cannot: Refusal): void {
  const head = firstLine(path, cannot);
  if (head.startsWith("#!"))
    throw new NotHostableError(
      path,
      `it is a script for "${head.slice(2).trim()}", and only programs themselves can be hosted`,
    );
  if (isText(head)) throw new NotHostableError(path, "it is a script without an interpreter of its own, for /bin/sh");
  if (!isElf(head)) throw cannot("it is neither an ELF program nor a script");
}

/** Is it a script without a `#!` line, which the kernel refuses and a shell runs? */
export function isShells(path: string): boolean {
  return unlessRefused(() => isText(firstBytes(path)) && !firstBytes(path).startsWith("#!")) ?? false;
}

/**
 * Text that is not an ELF file: execvp(3), and so env(1) and every shell, has /bin/sh run it if the kernel refuses it.
 */
const isText = (head: string): boolean => head !== "" && !head.includes("\0") && !isElf(head);

const isElf = (head: string): boolean => ELFMAG.every((byte, i) => head.charCodeAt(i) === byte);

function firstLine(path: string, cannot: Refusal): string {
  try {
    return firstBytes(path).split("\n", 1)[0] ?? "";
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EACCES") throw new NotHostableError(path, `it cannot be read (${code})`, { cause: error });
    throw cannot(`it cannot be read (${code})`, error);
  }
}

/**
 * What runs a program: a script's interpreter with its argument, or the program's ld.so. Undefined if the file cannot
 * be read.
 */
export function interpreterOf(path: string, store: LibraryStore): { isScript: boolean; words: string[] } | undefined {
  return unlessRefused(() => {
    const words = scriptWords(path);
    if (words) return { isScript: true, words: words.filter(Boolean) };
    const { interpreter } = findUnlinked(path) ?? store.read(path);
    return { isScript: false, words: interpreter === undefined ? [] : [interpreter] };
  });
}

/** The file that the kernel finally runs: for a script, its interpreter. Undefined if it cannot be read. */
export const runnerOf = (path: string): string | undefined =>
  unlessRefused(() => {
    let runner = path;
    for (let depth = 0; depth < SCRIPT_LIMIT; depth++) {
      const [interpreter] = scriptWords(runner) ?? [];
      if (interpreter === undefined) return runner;
      runner = realpathSync(interpreter);
    }
    return undefined;
  });

/** What runs a script, one that names no interpreter as execvp(3) does; undefined for any other file. */
function scriptWords(path: string): string[] | undefined {
  const head = firstBytes(path);
  return shebangOf(head) ?? (isText(head) ? ["/bin/sh"] : undefined);
}

/** The program that the kernel finally runs, if it is not linked. */
export function findUnlinkedRunner(path: string): UnlinkedProgram | undefined {
  const runner = runnerOf(path);
  return runner === undefined ? undefined : findUnlinked(runner);
}

/** Up to 256 bytes, as many as the kernel reads of a script; one character per byte. */
const firstBytes = (path: string): string => readBeginning(path, 256).toString("latin1");
