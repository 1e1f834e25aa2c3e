// The answer to a dlopen that cannot be carried out: it fails, and dlerror() says why. The reason is glibc's own
// wherever glibc can be made to say it: a failed call is repeated by the asking thread, a missing file is asked for
// where the tree would have it, and an unsound ELF file is shown to glibc. Otherwise the reason is put into the name of
// a file that does not exist.

import { ElfError } from "../../lib/elf/error.ts";
import type { LinkError } from "../../lib/link-error.ts";
import { dlclose, RTLD_LAZY, RTLD_NOLOAD } from "../../lib/loader/calls.ts";
import { type Address, toAddress } from "../../lib/memory/numbers.ts";
import { type Call, call, type Linking } from "../../lib/process/process.ts";
import type { Search } from "../../lib/tree/search.ts";
import { SystemFault, unless } from "../../lib/unless.ts";
import type { Linkage } from "../passes/linkage.ts";
import { Refusal } from "../passes/open.ts";
import { NONE } from "./opening.ts";

/** Returns an Answer. `search` is where what `file` needs was looked for. */
export function* refused(
  linkage: Linkage,
  search: Search,
  namespace: number,
  file: string,
  error: LinkError | ElfError,
): Linking<{ open: string } | { handle: Address }> {
  if (error instanceof Refusal) {
    if (yield* fails(linkage, error.attempt)) return { handle: NONE };
  }
  if (error instanceof ElfError) {
    const { path, structure, fault } = error;
    // This maps nothing of the file.
    const attempt: Call = { name: "dlmopen", arguments: [namespace, path, RTLD_LAZY | RTLD_NOLOAD] };
    if ((yield* fails(linkage, attempt)) && (yield* call("dlerror")) !== 0 && (yield* fails(linkage, attempt)))
      return { handle: NONE };
    return { open: `${path}: ${structure}: ${fault}` };
  }
  const { object } = error.details;
  // glibc refuses programs, too.
  if (object === undefined || !object.includes("/") || isProgram(search, object))
    return { open: missing(search, object ?? file) };
  return { open: `${file}: ${error.message}` };
}

/**
 * Whether glibc refuses. If so, dlerror() on that thread has the reason, if there is one, until something is closed.
 */
function* fails({ process }: Linkage, attempt: Call): Linking<boolean> {
  const [handle = 0] = yield [attempt];
  if (handle !== 0) yield* dlclose(process, toAddress(handle));
  return handle === 0;
}

function isProgram(search: Search, path: string): boolean {
  const library = unless([ElfError, SystemFault], () => search.libraryAt(path));
  return library !== undefined && (library.isFixed || library.isPie);
}

/** A path that does not exist, for glibc to say so. */
export const missing = (search: Search, file: string): string =>
  `${search.tree.root}${file.includes("/") ? (search.tree.holds(file) ? search.tree.inside(file) : file) : `${search.defaults[0]}/${file}`}`;
