// Objects that are open in the process, by the handle or the name that opened them.

import { dlclose, dlmopen, findOpen, linkMapOf, RTLD_LAZY } from "../../lib/loader/calls.ts";
import { LoadedObject } from "../../lib/loader/link-map.ts";
import type { Address } from "../../lib/memory/numbers.ts";
import type { Linking, Process } from "../../lib/process/process.ts";
import type { Linkage } from "./linkage.ts";

export function* objectOf(process: Process, handle: Address): Linking<LoadedObject> {
  return new LoadedObject(process, yield* linkMapOf(process, handle));
}

/** The object that glibc has open under a soname or a path; glibc may search for a soname. */
export function* findObject(process: Process, namespace: number, name: string): Linking<LoadedObject | undefined> {
  const handle = yield* findOpen(namespace, name);
  if (handle === undefined) return undefined;
  const object = yield* objectOf(process, handle);
  yield* dlclose(process, handle);
  return object;
}

/** Writes a generated object and opens it; it stays open. Throws LinkError, and what writing throws. */
export function* openGenerated(
  { process, directory }: Linkage,
  namespace: number,
  name: string,
  bytes: Uint8Array,
): Linking<LoadedObject> {
  const handle = yield* dlmopen(process, namespace, directory.write(name, bytes), RTLD_LAZY);
  return yield* objectOf(process, handle);
}
