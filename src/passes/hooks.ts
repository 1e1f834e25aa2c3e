// Hooks: functions of an isolated library that the program gets from a third-party shared object, a launcher's. That
// object is opened in the capsule with the library, so that it can call the functions it overrides, by name or by
// dlsym(RTLD_NEXT).

import { findIn } from "../../lib/loader/calls.ts";
import type { LoadedObject } from "../../lib/loader/link-map.ts";
import type { Address } from "../../lib/memory/numbers.ts";
import type { Linking } from "../../lib/process/process.ts";
import { lacks } from "../plan/hooks.ts";
import { needsOfOutsider } from "../plan/needs.ts";
import { filtered } from "./filters.ts";
import type { Capsule, Linkage } from "./linkage.ts";
import { closureIn } from "./names.ts";
import { checkClosure, openClosure } from "./open.ts";

/**
 * What the program gets instead of an isolated library's functions, by name: hooks, and the definitions of filtees. The
 * library is open. Throws LinkError and ElfError.
 */
export function* openHooks(
  linkage: Linkage,
  capsule: Capsule,
  soname: string,
  library: LoadedObject,
): Linking<ReadonlyMap<string, Address>> {
  const found = yield* filtered(linkage, capsule, library);
  for (const hook of capsule.hooks) {
    if (hook.soname !== soname) continue;
    const file = capsule.search.libraryAt(hook.file);
    const closure = yield* closureIn(linkage, capsule, (open) => needsOfOutsider(capsule, file, undefined, open));
    checkClosure(capsule, closure);
    // RTLD_NEXT searches what was opened together.
    yield* openClosure(linkage, capsule, closure, { beside: [library.path] });
    const object = capsule.opened.get(hook.file);
    const address = object && (yield* findIn(object.linkMap, hook.function));
    if (address === undefined) throw lacks(hook, hook.file, hook.function);
    found.set(hook.symbol, address);
    linkage.trace.log("shim", () => `${soname}: "${hook.symbol}" is "${hook.function}" of ${hook.file}`);
  }
  return found;
}
