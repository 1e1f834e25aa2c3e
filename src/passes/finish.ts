// The order of destructors at the end of a process that is linked from outside. ld.so
// goes through the namespaces from the last to the first, so the host's libraries
// would be finished before the program that uses them. An object of ours, which needs
// all of a capsule's libraries, is the first that ld.so finishes there: it runs the
// destructors of the program's side (2.31-2.41).

import { symbolObject } from "../../lib/elf/write/symbol-object.ts";
import { dlmopen, linkMapOf, RTLD_LAZY } from "../../lib/loader/calls.ts";
import { LoadedObject } from "../../lib/loader/link-map.ts";
import { PAGE_SIZE } from "../../lib/memory/numbers.ts";
import type { Patch } from "../../lib/process/patch.ts";
import type { Linking } from "../../lib/process/process.ts";
import { Assembler } from "../../lib/x86-64/assembler.ts";
import { emitCleanup } from "../agent/code/cleanup.ts";
import type { Capsule, Linker } from "../launch.ts";

/** Collects the code into `patch`; `order` is emitCleanup's. */
export function* finishProgramFirst(
  linker: Linker,
  capsule: Capsule,
  order: readonly number[],
  patch: Patch,
): Linking<void> {
  const { process, directory } = linker;
  const files = linker.internWords([0]);
  const assembler = new Assembler();
  // Of no process, so that nothing is removed: that is the server's affair.
  emitCleanup(assembler, { pid: 0, directory: "", files, order: linker.internWords(order) });
  const { bytes: code, labels } = assembler.assemble();
  const soname = "capsule-finish";
  const { bytes, plan } = symbolObject({
    soname,
    needed: [...capsule.opened.keys()],
    zeroPages: Math.ceil(code.length / PAGE_SIZE),
    fini: labels.get("cleanup") ?? 0,
  });
  const path = directory.write(`${capsule.token}-${soname}`, bytes);
  const handle = yield* dlmopen(process, capsule.namespace, path, RTLD_LAZY);
  const object = new LoadedObject(process, yield* linkMapOf(process, handle));
  patch.install(code, object.image.addressOf(plan.zeroAt));
}
