// The function with which ld.so runs the destructors of all namespaces (_dl_fini). It is not exported. A program gets
// it in rdx at its entry (psABI, "Process Initialization"), from instructions of ld.so's own entry that are the same in
// 2.31-2.41:
//
//   lea  _dl_fini(%rip),%rdx
//   mov  %r13,%rsp
//   jmp  *%r12               the program's entry

import { PF_X } from "../elf/constants.ts";
import type { LoadedImage } from "../elf/loaded.ts";
import { type Address, add } from "../memory/numbers.ts";
import { Assembler } from "../x86-64/assembler.ts";
import { rip } from "../x86-64/operands.ts";
import { r12, r13, rdx, rsp } from "../x86-64/registers.ts";

/** How far into ld.so's entry to search, in bytes; they are at 77 in glibc 2.31. */
const LIMIT = 256;

/** Size of the displacement that ends the first of them, in bytes. */
const DISTANCE = 4;

/** Its address; undefined if ld.so's entry does not look as above. */
export function findFinalizer(loader: LoadedImage): Address | undefined {
  const { e_entry } = loader.ehdr;
  const isCode = ({ p_flags }: { readonly p_flags: number }) => (p_flags & PF_X) !== 0;
  const segment = loader.loads.find(
    (load) => isCode(load) && e_entry >= load.p_vaddr && e_entry + LIMIT <= load.p_vaddr + load.p_filesz,
  );
  if (!segment) return undefined;
  const view = loader.bytes.view(e_entry, LIMIT, "entry");
  const { bytes, labels } = new Assembler().lea(rip("behind"), rdx).label("behind").mov(r13, rsp).jmp(r12).assemble();
  const behind = labels.get("behind") ?? 0;
  const isDistance = (i: number) => i >= behind - DISTANCE && i < behind;
  for (let at = 0; at + bytes.length <= LIMIT; at++) {
    if (!bytes.every((byte, i) => isDistance(i) || view.getUint8(at + i) === byte)) continue;
    const target = add(e_entry, at + behind + view.getInt32(at + behind - DISTANCE, true));
    const isThere = loader.loads.some(
      (load) => isCode(load) && target >= load.p_vaddr && target < load.p_vaddr + load.p_filesz,
    );
    return isThere ? loader.addressOf(target) : undefined;
  }
  return undefined;
}
