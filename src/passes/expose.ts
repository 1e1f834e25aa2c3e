// Shows the program an isolated library: a shim, which glibc finds by the soname
// and binds to, at the addresses in the capsule. No trampoline, nothing to call.

import { mirrorOf } from "../../lib/elf/write/mirror.ts";
import { dlmopen, LM_ID_BASE, linkMapOf, RTLD_LAZY } from "../../lib/loader/calls.ts";
import { LinkError } from "../../lib/loader/error.ts";
import { LoadedObject } from "../../lib/loader/link-map.ts";
import type { Linking } from "../../lib/process/process.ts";
import type { Capsule, Launch } from "../launch.ts";

/** The library is open in the capsule. */
export function* expose(launch: Launch, capsule: Capsule, soname: string): Linking<void> {
  if (capsule.shims.has(soname)) return;
  const { process, directory, trace } = launch;
  const file = capsule.search.find(soname, undefined)?.path ?? "";
  const object = capsule.opened.get(file);
  if (!object) throw new LinkError(`Cannot show "${soname}" to the program: "${file}" is not open`, { object: soname });
  const { bytes } = mirrorOf(object.image, { soname });
  const path = directory.write(soname, bytes);
  const handle = yield* dlmopen(process, LM_ID_BASE, path, RTLD_LAZY);
  capsule.shims.set(soname, new LoadedObject(process, yield* linkMapOf(process, handle)));
  trace.tell("shim", () => `${soname}: ${object.path} shown to the program by ${path}`);
}
