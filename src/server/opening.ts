// Opens a file for the asking thread, on that thread, together with what has to be opened before it. Afterwards the
// file holds what it needs, and what was opened for it is closed. Nothing is thrown: when a call fails, dlerror() on
// that thread has the reason until something is closed there.

import { dlcloseAll, namespaceOf, RTLD_DEEPBIND, RTLD_GLOBAL, RTLD_LAZY, RTLD_NOW } from "../../lib/loader/calls.ts";
import { type Address, toAddress } from "../../lib/memory/numbers.ts";
import { call, type Linking, type Process } from "../../lib/process/process.ts";

/** Stands for a missing handle. */
export const NONE = toAddress(0);

/** The mode flags that apply to all that is opened with a library. */
const TOGETHER = RTLD_LAZY | RTLD_NOW | RTLD_DEEPBIND;

/** Opens an object that needs others. NONE if that fails. */
export function* openTogether(namespace: number, object: string, mode: number): Linking<Address> {
  // Once this object is closed, glibc puts the global scope first again, so all that can be bound is bound before.
  const early = mode & RTLD_DEEPBIND ? yield* call("dlmopen", namespace, object, RTLD_NOW | RTLD_DEEPBIND) : 0;
  return toAddress(early || (yield* call("dlmopen", namespace, object, mode & TOGETHER)));
}

/** Opens a file in a namespace, given or new, with an object that needs it and what has to come before it. */
export function* openIn(
  process: Process,
  namespace: number,
  object: string,
  path: string,
  mode: number,
): Linking<Address> {
  // glibc refuses RTLD_GLOBAL here, and has to say so itself.
  if (mode & RTLD_GLOBAL) return toAddress(yield* call("dlmopen", namespace, path, mode));
  const all = yield* openTogether(namespace, object, mode);
  if (all === NONE) return NONE;
  const handle = yield* call("dlmopen", yield* namespaceOf(process, all), path, mode);
  if (handle !== 0) yield* dlcloseAll([all]);
  return toAddress(handle);
}

/** Opens libraries that need only earlier ones, up to the first that fails, whose handle is NONE. */
export function* openInTurn(namespace: number, paths: readonly string[], mode: number): Linking<Address[]> {
  const handles: Address[] = [];
  for (const path of paths) {
    handles.push(toAddress(yield* call("dlmopen", namespace, path, mode & TOGETHER)));
    if (handles.at(-1) === NONE) break;
  }
  return handles;
}
