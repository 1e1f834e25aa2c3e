// The order of destructors at exit: the program's side first, then the host's libraries, which it uses. In an attached
// process, ld.so begins with the last namespace (2.31-2.41), so the first object that it finalizes there is a generated
// one, which finishes the program's side. It precedes the capsule's libraries because it was opened earlier and no
// object needs it. For a hosted program, see emitCleanup.

import { type CodeObject, codeObject } from "../../lib/elf/write/code-object.ts";
import { LM_ID_BASE } from "../../lib/loader/calls.ts";
import { findFinalizer } from "../../lib/loader/finalizer.ts";
import type { LoadedObject } from "../../lib/loader/link-map.ts";
import type { Namespaces } from "../../lib/loader/namespace.ts";
import { type Address, alignUp, PAGE_SIZE, toAddress, toVaddr } from "../../lib/memory/numbers.ts";
import type { Linking } from "../../lib/process/process.ts";
import { Assembler } from "../../lib/x86-64/assembler.ts";
import { rip } from "../../lib/x86-64/operands.ts";
import { ENDING_WORDS, type Ending, emitDestructors, endingWords } from "../agent/code/destructors.ts";
import { LOADER } from "../profiles/shared-set.ts";
import type { Capsule, Linkage, Linker } from "./linkage.ts";
import { openGenerated } from "./opened.ts";

/**
 * The words that emitDestructors reads. `front` are objects of the base namespace, the first of which is generated. If
 * ld.so does not look as expected, its own order remains.
 */
export function findEnding(
  { shared, trace }: Linkage,
  namespaces: Namespaces,
  capsule: Capsule | undefined,
  { front, hidden }: { readonly front: readonly LoadedObject[]; readonly hidden?: LoadedObject },
): number[] {
  const loader = shared.get(LOADER);
  const finalizer = loader && findFinalizer(loader);
  const fields: Partial<Ending> = { ...(finalizer && { finalizer }), ...(hidden && { hidden: hidden.linkMap }) };
  const [first] = capsule?.mirrors.values() ?? [];
  const counting = first && capsule && namespaces.findCounting(first.linkMap, capsule.namespace);
  const linkMaps = front.map(({ linkMap }) => linkMap);
  const words = endingWords({ ...fields, ...counting }, linkMaps);
  if (!finalizer || !counting || !words)
    trace.log("capsule", () => "this ld.so does not look as expected: its own order of destructors stays");
  return words ?? endingWords(fields, []) ?? [];
}

/** Only the mirrors of libc are open in the capsules so far. */
export function* finishProgramFirst(
  linker: Linker,
  namespaces: Namespaces,
  capsules: readonly Capsule[],
): Linking<void> {
  const { process, functions } = linker;
  const ending = linker.internWords(new Array<number>(ENDING_WORDS).fill(0));
  const base = new Assembler();
  emitDestructors(base, { ending, lock: functions.lock, unlock: functions.unlock });
  const { bytes, labels } = codeOnly(END, base, "show all");
  const end = yield* openGenerated(linker, LM_ID_BASE, END, bytes);
  const words = findEnding(linker, namespaces, capsules[0], { front: [end] });
  process.write(ending, new Uint8Array(BigUint64Array.from(words, BigInt).buffer));

  const finish = end.image.addressOf(labels.get("finish base") ?? toVaddr(0));
  for (const { token, namespace } of capsules) {
    const first = new Assembler();
    emitFinish(first, finish);
    yield* openGenerated(linker, namespace, `${token}-${FIRST}`, codeOnly(FIRST, first, "finish").bytes);
  }
}

/** `finish`: jumps to that function. */
export function emitFinish(to: Assembler, finish: Address): void {
  to.label("finish").jmp(rip("base")).align(8).label("base").quad(finish);
}

const END = "capsule-end";
const FIRST = "capsule-finish";

/** The code is in the file, so it is complete at whatever point linking fails. */
function codeOnly(soname: string, assembler: Assembler, fini: string): CodeObject {
  const code = assembler.assemble();
  const dataAt = alignUp(toAddress(code.bytes.length), PAGE_SIZE);
  return codeObject({ soname, code, dataAt, fini, nodelete: true });
}
