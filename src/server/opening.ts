// How a file is opened for who asks, where something has to come before it: with
// all that, by the thread that asks. Afterwards it holds what it needs, and what was
// opened for it is closed. Nothing is thrown: what fails has left its reason in
// dlerror() of that thread, until something is closed there.

import { dlcloseAll, namespaceOf, RTLD_DEEPBIND, RTLD_GLOBAL, RTLD_LAZY, RTLD_NOW } from "../../lib/loader/calls.ts";
import { type Address, toAddress } from "../../lib/memory/numbers.ts";
import { call, type Linking, type Process } from "../../lib/process/process.ts";

/** In place of a handle where there is none. */
export const NONE = toAddress(0);

/** What of a mode holds for all that is opened with a library. */
const TOGETHER = RTLD_LAZY | RTLD_NOW | RTLD_DEEPBIND;

/** Opens an object that needs others. NONE where that fails. */
export function* openTogether(namespace: number, object: string, mode: number): Linking<Address> {
  // Once this object is closed, glibc puts the global scope in front again, so all that can be is bound before.
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

/** Opens libraries of which each needs nothing but earlier ones, up to the first that fails: then NONE is the last. */
export function* openInTurn(namespace: number, paths: readonly string[], mode: number): Linking<Address[]> {
  const handles: Address[] = [];
  for (const path of paths) {
    handles.push(toAddress(yield* call("dlmopen", namespace, path, mode & TOGETHER)));
    if (handles.at(-1) === NONE) break;
  }
  return handles;
}
