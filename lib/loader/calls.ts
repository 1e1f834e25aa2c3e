// The loader's calls as steps of a pass: dlopen(3), dlmopen(3), dlinfo(3).

import { LinkError } from "../link-error.ts";
import { readU64 } from "../memory/layout.ts";
import { type Address, toAddress } from "../memory/numbers.ts";
import { call, type Linking, type Process } from "../process/process.ts";

export const RTLD_LAZY = 1;
export const RTLD_NOW = 2;
export const RTLD_NOLOAD = 4;
export const RTLD_DEEPBIND = 8;
export const RTLD_GLOBAL = 0x100;
export const RTLD_NODELETE = 0x1000;

/** Namespace arguments of dlmopen. */
export const LM_ID_BASE = 0;
export const LM_ID_NEWLM = -1;

const RTLD_DI_LMID = 1;
const RTLD_DI_LINKMAP = 2;
const RTLD_DI_TLS_MODID = 9;

/** Opens a file in a namespace and returns the handle. Throws LinkError with glibc's own text. */
export function* dlmopen(process: Process, namespace: number, path: string, mode: number): Linking<Address> {
  return yield* opened(process, path, yield* call("dlmopen", namespace, path, mode));
}

/**
 * Like dlmopen, but through `opener`, a function that calls dlopen from within a namespace: dlmopen does not take
 * RTLD_GLOBAL.
 */
export function* dlopenBy(process: Process, opener: Address, path: string, mode: number): Linking<Address> {
  const [handle = 0] = yield [{ name: "dlopen", at: opener, arguments: [path, mode] }];
  return yield* opened(process, path, handle);
}

function* opened(process: Process, path: string, handle: number): Linking<Address> {
  if (handle !== 0) return toAddress(handle);
  throw new LinkError(`Cannot open "${path}": ${yield* dlerror(process)}`, { object: path });
}

/**
 * Opens files, each of which needs only earlier ones. Throws LinkError for the first that cannot be opened, after
 * closing the others.
 */
export function* dlmopenAll(
  process: Process,
  namespace: number,
  paths: readonly string[],
  mode: number,
): Linking<Address[]> {
  if (paths.length === 0) return [];
  const handles = yield paths.map((path) => ({ name: "dlmopen" as const, arguments: [namespace, path, mode] }));
  const failed = handles.indexOf(0);
  if (failed < 0) return handles.map(toAddress);
  yield* dlcloseAll(handles.filter((handle) => handle !== 0).map(toAddress));
  // Again, alone, to get the reason.
  const handle = yield* dlmopen(process, namespace, paths[failed] ?? "", mode);
  yield* dlclose(process, handle);
  throw new LinkError(`Cannot open "${paths[failed]}"`, { object: paths[failed] ?? "" });
}

export function* dlcloseAll(handles: readonly Address[]): Linking<void> {
  if (handles.length > 0) yield handles.map((handle) => ({ name: "dlclose" as const, arguments: [handle] }));
}

/** A handle of the object with this soname or path, if the namespace has it already. */
export function* findOpen(namespace: number, name: string): Linking<Address | undefined> {
  const handle = yield* call("dlmopen", namespace, name, RTLD_LAZY | RTLD_NOLOAD);
  if (handle !== 0) return toAddress(handle);
  yield* call("dlerror");
  return undefined;
}

/** A symbol's address in the object with this handle or its dependencies, with an IFUNC resolved. */
export function* findIn(object: Address, name: string, version?: string): Linking<Address | undefined> {
  const found = yield* version === undefined ? call("dlsym", object, name) : call("dlvsym", object, name, version);
  if (found !== 0) return toAddress(found);
  yield* call("dlerror");
  return undefined;
}

export function* dlclose(process: Process, handle: Address): Linking<void> {
  const failed = yield* call("dlclose", handle);
  if (failed) throw new LinkError(`Cannot close a library: ${yield* dlerror(process)}`);
}

/**
 * The address of a handle's link_map. They are equal in all versions of glibc so far, which is checked once per
 * process; if so, no further call is made.
 */
export function* linkMapOf(process: Process, handle: Address): Linking<Address> {
  if (process.handlesAreLinkMaps) return handle;
  const linkMap = toAddress(yield* dlinfo(process, handle, RTLD_DI_LINKMAP));
  process.handlesAreLinkMaps ??= linkMap === handle;
  return linkMap;
}

/** The number of the namespace of a handle's object. */
export function* namespaceOf(process: Process, handle: Address): Linking<number> {
  return yield* dlinfo(process, handle, RTLD_DI_LMID);
}

/**
 * The number of an object's thread-local block, 0 if it has none. `object` is its handle or its link_map, which are
 * equal.
 */
export function* tlsModuleOf(process: Process, object: Address): Linking<number> {
  return yield* dlinfo(process, object, RTLD_DI_TLS_MODID);
}

function* dlinfo(process: Process, handle: Address, request: number): Linking<number> {
  const result = new Uint8Array(8);
  const failed = yield* call("dlinfo", handle, request, result);
  if (failed) throw new LinkError(`Cannot ask about a library: ${yield* dlerror(process)}`);
  return readU64(new DataView(result.buffer), 0);
}

/** The error of the last failed call on that thread. glibc reports it once. */
export function* dlerror(process: Process): Linking<string> {
  const text = yield* call("dlerror");
  return text === 0 ? "glibc gives no reason" : process.stringAt(toAddress(text));
}
