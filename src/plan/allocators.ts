// A process has one allocator, that of the program's side: see passes/allocator.ts. The files show which programs and
// libraries this rules out.

import type { Library } from "../../lib/elf/library.ts";
import { LinkError } from "../../lib/link-error.ts";
import { NotHostableError } from "../diagnostics/errors.ts";
import type { Host } from "./trees.ts";

/** C++ runtime libraries: they define operator new, and replace nobody's. */
const CXX_RUNTIME = /^lib(?:stdc\+\+|c\+\+|c\+\+abi|supc\+\+)\.so\b/;

export const isCxxRuntime = (soname: string): boolean => CXX_RUNTIME.test(soname);

/**
 * In-process, libc and Bun's threads, which keep running, are already bound to libc's own malloc: another allocator
 * would free what libc allocates (strdup, getline). A replaced operator new matters only where host libraries are in
 * C++, as their constructors run before the program is loaded. Throws NotHostableError.
 */
export function refuseOtherAllocator(
  program: string,
  libraries: readonly Library[],
  isolated: () => Iterable<Library>,
): void {
  const other = libraries.find(({ hasMalloc }) => hasMalloc);
  if (other)
    throw new NotHostableError(
      program,
      `"${other.path}" brings a malloc of its own, and libc in this process has bound to another`,
    );
  const replaced = libraries.find(({ hasOperatorNew, soname }) => hasOperatorNew && !isCxxRuntime(soname));
  if (!replaced) return;
  for (const { path, needed } of isolated())
    if (needed.some(isCxxRuntime))
      throw new NotHostableError(
        program,
        `"${replaced.path}" brings an operator new of its own, and the constructors of "${path}" run before it is there`,
      );
}

/** Refuses isolated libraries with an allocator, which would have to be loaded before them. Throws LinkError. */
export function refuseIsolatedAllocators({ search, choices }: Host): void {
  for (const [soname, isNamed] of choices) {
    const library = isNamed ? search.find(soname, undefined)?.library : undefined;
    if (library?.hasMalloc)
      throw new LinkError(
        `Cannot isolate "${soname}": it has an allocator (malloc), and a process has one, which is there before any isolated library; preload the library, or link the program to the runtime's copy`,
        { object: library.path },
      );
  }
}

/**
 * Throws LinkError for a sanitizer's runtime among a capsule's libraries: it has to be the first library of its
 * process.
 */
export function refuseSanitizers(libraries: readonly Library[]): void {
  const runtime = libraries.find(({ isSanitizer }) => isSanitizer);
  if (!runtime) return;
  const needer = libraries.find(({ needed }) => needed.includes(runtime.soname));
  throw new LinkError(
    `Cannot isolate "${(needer ?? runtime).path}": ${needer ? `it needs "${runtime.path}", which is` : "it is"} a sanitizer's runtime, whose allocator the whole process would have to have from its start`,
    { object: runtime.path },
  );
}
