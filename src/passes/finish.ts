// The order of destructors at the end of a process that is linked from outside. ld.so
// goes through the namespaces from the last to the first, so the host's libraries
// would be finished before the program that uses them. An object of ours, which needs
// all of a capsule's libraries, is the first that ld.so finishes there: it runs the
// destructors of the program's side (2.31-2.41).

import { codeObject } from "../../lib/elf/write/code-object.ts";
import { dlmopen, RTLD_LAZY } from "../../lib/loader/calls.ts";
import { alignUp, PAGE_SIZE, toAddress } from "../../lib/memory/numbers.ts";
import type { Linking } from "../../lib/process/process.ts";
import { Assembler } from "../../lib/x86-64/assembler.ts";
import { emitCleanup } from "../agent/code/cleanup.ts";
import type { Capsule, Linker } from "../launch.ts";

/** `order` is emitCleanup's. */
export function* finishProgramFirst(linker: Linker, capsule: Capsule, order: readonly number[]): Linking<void> {
  const { process, directory } = linker;
  const files = linker.internWords([0]);
  const assembler = new Assembler();
  // Of no process, so that nothing is removed: that is the server's affair.
  emitCleanup(assembler, { pid: 0, directory: "", files, order: linker.internWords(order) });
  const code = assembler.assemble();
  const soname = "capsule-finish";
  // In the file, so that it is whole however far linking gets.
  const { bytes } = codeObject({
    soname,
    needed: [...capsule.opened.keys()],
    code,
    dataAt: alignUp(toAddress(code.bytes.length), PAGE_SIZE),
    fini: "cleanup",
  });
  yield* dlmopen(process, capsule.namespace, directory.write(`${capsule.token}-${soname}`, bytes), RTLD_LAZY);
}
