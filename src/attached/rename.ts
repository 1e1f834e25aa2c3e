// Restores the file names of glibc's libraries in a process that loads them through our links because they are not the
// machine's: in the functions that report on objects, and in ld.so's list, for code that looks for libc there, or opens
// the file.

import { readlinkSync } from "node:fs";
import { basename, dirname } from "node:path";
import { LinkMap, type LoadedObject } from "../../lib/loader/link-map.ts";
import { add } from "../../lib/memory/numbers.ts";
import { setPointerIn } from "../../lib/process/process.ts";
import { unlessRefused } from "../../lib/unless.ts";
import { scopeOf } from "../passes/scope-of.ts";
import { isShared } from "../profiles/shared-set.ts";
import { EXE_SHIM } from "../server/reexec-stubs.ts";
import type { Attachment } from "./attachment.ts";

/**
 * `program` is the first of `objects`. Only for objects that stay loaded, since ld.so frees the names of unloaded ones.
 */
export function renameLinked(attachment: Attachment, program: LoadedObject, objects: readonly LoadedObject[]): void {
  const { process, agent, context } = attachment;
  const exeShim = objects.find(({ path }) => basename(path) === EXE_SHIM);
  const directories = [context.libraries, ...(exeShim ? [dirname(exeShim.path)] : [])];
  for (const object of new Set([...scopeOf(program, objects), ...scopeOf(agent, objects)])) {
    if (!isShared(object.image.soname ?? "") || !directories.includes(dirname(object.path))) continue;
    const file = unlessRefused(() => readlinkSync(object.path));
    if (file === undefined) continue;
    setPointerIn(process, add(object.linkMap, LinkMap.offsetOf.l_name), attachment.intern(file));
    attachment.know(object);
  }
}
