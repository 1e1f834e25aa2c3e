// Runs a program that has no libc, with TypeScript for its dynamic linker.

import { mkdtempSync, realpathSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { PT_DYNAMIC } from "../../lib/elf/constants.ts";
import { ElfError } from "../../lib/elf/error.ts";
import { FileBytes, readHeaders } from "../../lib/elf/file.ts";
import { ownContext, reasonNotHere, runHere } from "../../lib/link/run-here.ts";
import { startImage } from "../../lib/link/start-image.ts";
import type { Libc } from "../../lib/loader/libc.ts";
import { stringAt, stringBytesAt } from "../../lib/memory/live.ts";
import { Exec } from "../../lib/process/exec.ts";
import type { System } from "../../lib/process/system.ts";
import { dependenciesOf } from "../../lib/tree/dependencies.ts";
import type { Search } from "../../lib/tree/search.ts";
import { withoutRunner } from "../passes/environment.ts";
import { resetSignals } from "../passes/signals.ts";
import { locateProgram } from "../plan/program.ts";
import { isShared } from "../plan/shared-set.ts";
import { EXIT, ProgramError } from "../telling/errors.ts";

/** What a program is to a linker. */
export interface Linkable {
  /** As it was given, and its file. */
  readonly name: string;
  readonly path: string;
  /** Why it cannot be run by us, only explained; undefined where it can. */
  readonly fault: string | undefined;
  /** Why it needs a process of its own; undefined where this one will do. */
  readonly why: string | undefined;
}

/** Throws ProgramError for what is no dynamically linked program; missing libraries are said when it is linked. */
export function linkable(search: Search, name: string): Linkable {
  const path = realpathSync(locateProgram(name));
  const cannot = (why: string, cause?: unknown) =>
    new ProgramError(`Cannot link "${path}": ${why}`, EXIT.notRunnable, cause === undefined ? {} : { cause });
  try {
    using file = new FileBytes(path);
    const { ehdr, phdrs } = readHeaders(file);
    if (!phdrs.some(({ p_type }) => p_type === PT_DYNAMIC))
      throw cannot("it is statically linked, and has been by another linker");
    const library = search.libraryAt(path);
    const { nodes, roots } = dependenciesOf(search, library.needed, isShared, { library });
    const libc = [...roots, ...nodes.flatMap(({ needs }) => needs)].find((need) => "elsewhere" in need)?.name;
    const libraries = [library, ...nodes.map((node) => node.library)];
    const other = libraries.find(({ isLibc }) => isLibc);
    const fault = faultOf(ehdr.e_entry, libc ?? other?.soname);
    return { name, path, fault, why: fault === undefined ? reasonNotHere(libraries) : undefined };
  } catch (error) {
    if (error instanceof ElfError) throw cannot(`${error.structure}: ${error.fault}`, error);
    throw error;
  }
}

function faultOf(entry: number, libc: string | undefined): string | undefined {
  if (libc !== undefined)
    return `it needs ${libc}, and this linker is for programs without a libc: ld.so does for glibc what it alone can do`;
  return entry === 0 ? "it has no entry point, as a library has none" : undefined;
}

/** Throws LinkError and ElfError before any code of the program has run. Ends as the program does: by its exit(2), or, when its entry returns, with 0. */
export function linkProgram(
  libc: Libc,
  system: System,
  search: Search,
  { name, path, fault, why }: Linkable,
  list: readonly string[],
): never {
  if (fault !== undefined)
    throw new ProgramError(`Cannot run "${path}": ${fault} (--explain shows what it would do)`, EXIT.notRunnable);
  const words = [name, ...list];
  const warn = (text: string) => void writeSync(2, `capsule: ${text}\n`);
  // What this command has been started with, and not the program.
  const changes = withoutRunner(process.env);
  const isKept = (variable: string) => !changes.has(variable.split("=", 1)[0] ?? "");
  if (why === undefined) {
    const onLinked = () => {
      resetSignals(libc);
      libc.setThreadName(basename(path));
    };
    runHere(libc, search, path, words, { isKept, onLinked, onWarning: warn });
    libc.exitNow(0);
  }
  const image = inDirectory((write) => startImage(search, path, write, { onWarning: warn }));
  const descriptor = system.memoryFile(path);
  for (let done = 0; done < image.length; ) done += writeSync(descriptor, image, done);
  const environment = ownContext()
    .environment.filter((at) => isKept(stringAt(at)))
    .map((at) => stringBytesAt(at));
  resetSignals(libc);
  const errno = new Exec().execute(
    `/proc/self/fd/${descriptor}`,
    words.map((text) => Buffer.from(text)),
    environment,
  );
  throw new ProgramError(`Cannot run "${path}": the kernel refuses its image (errno ${errno})`, EXIT.notRunnable);
}

/** For files that are needed while this is done. */
function inDirectory<Result>(action: (write: (name: string, bytes: Uint8Array) => string) => Result): Result {
  const directory = mkdtempSync(join(tmpdir(), "capsule-link-"));
  try {
    return action((name, bytes) => {
      const path = join(directory, name);
      writeFileSync(path, bytes, { mode: 0o600 });
      return path;
    });
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
