// glibc's libraries have the names of their files in a process that has them by links
// of ours, where they are another's than the machine's: in what tells of objects, and
// in ld.so's list, for whoever looks for libc there, or opens the file.

import { readlinkSync } from "node:fs";
import { basename, dirname } from "node:path";
import { LinkMap, type LoadedObject } from "../../lib/loader/link-map.ts";
import { add } from "../../lib/memory/numbers.ts";
import { setPointerIn } from "../../lib/process/process.ts";
import { unlessRefused } from "../../lib/system-error.ts";
import { scopeOf } from "../passes/scope-of.ts";
import { isShared } from "../profiles/shared-set.ts";
import { EXE_SHIM } from "../server/reexec-stubs.ts";
import type { Attachment } from "./attachment.ts";

/** `program` is the first of `objects`. Of what stays loaded only, since ld.so frees the name of what goes. */
export function renameLinked(attachment: Attachment, program: LoadedObject, objects: readonly LoadedObject[]): void {
  const { process, agent, site } = attachment;
  const exeShim = objects.find(({ path }) => basename(path) === EXE_SHIM);
  const directories = [site.libraries, ...(exeShim ? [dirname(exeShim.path)] : [])];
  for (const object of new Set([...scopeOf(program, objects), ...scopeOf(agent, objects)])) {
    if (!isShared(object.image.soname ?? "") || !directories.includes(dirname(object.path))) continue;
    const file = unlessRefused(() => readlinkSync(object.path));
    if (file === undefined) continue;
    setPointerIn(process, add(object.linkMap, LinkMap.offsetOf.l_name), attachment.intern(file));
    attachment.know(object);
  }
}
