// What a server does while there are no requests: it reads the files that will probably be asked for.

import { ElfError } from "../../lib/elf/error.ts";
import { LinkError } from "../../lib/link-error.ts";
import { closureOf } from "../../lib/tree/closure.ts";
import type { LibraryStore } from "../../lib/tree/library-store.ts";
import { unless } from "../../lib/unless.ts";
import type { Trace } from "../diagnostics/trace.ts";
import type { Capsule } from "../passes/linkage.ts";
import { checkClosure } from "../passes/open.ts";
import { lackedBy } from "../plan/lacked.ts";
import { LIBDIR } from "../profiles/profiles.ts";

/** Reads libraries with their dependencies, one at a time, and keeps what was learned of them for the next run. */
export function* readAllAhead(capsules: readonly Capsule[], store: LibraryStore, trace: Trace): Generator<undefined> {
  for (const capsule of capsules)
    for (const name of capsule.ahead) {
      readAhead(capsule, name);
      yield;
    }
  const reason = store.save();
  if (reason !== undefined) trace.log("plan", () => `the store of libraries was not written: ${reason}`);
  yield;
}

/** Errors are reported when it is asked for. */
function readAhead(capsule: Capsule, name: string): void {
  const { search, ownership } = capsule;
  const paths = name.startsWith(LIBDIR) ? search.places.map((directory) => name.replace(LIBDIR, directory)) : [name];
  const found = paths.find((path) => search.find(path, undefined));
  if (!found) return;
  unless([LinkError, ElfError], () => {
    const closure = closureOf(search, [found], (soname) => ownership.isShared(soname));
    checkClosure(capsule, closure);
    lackedBy(capsule, closure);
  });
}
