// The function by which ld.so runs the destructors of all namespaces (_dl_fini). It is
// not exported; a program is given it in rdx at its entry (psABI, "Process
// Initialization"), by instructions of ld.so's own entry that have been the same in
// 2.31-2.41:
//
//   lea  _dl_fini(%rip),%rdx
//   mov  %r13,%rsp
//   jmp  *%r12               the program's entry

import { PF_X } from "../elf/constants.ts";
import type { LoadedImage } from "../elf/loaded.ts";
import { type Address, add } from "../memory/numbers.ts";

/** How far into ld.so's entry they may be; 77 bytes in glibc 2.31. */
const LIMIT = 256;

const LEA_RDX = [0x48, 0x8d, 0x15];
const BEHIND = [0x4c, 0x89, 0xec, 0x41, 0xff, 0xe4];
/** The displacement is the last of the first instruction. */
const LENGTH = LEA_RDX.length + 4;

/** Where it is; undefined where ld.so's entry does not look as drawn. */
export function findFinalizer(loader: LoadedImage): Address | undefined {
  const { e_entry } = loader.ehdr;
  const isCode = ({ p_flags }: { readonly p_flags: number }) => (p_flags & PF_X) !== 0;
  const segment = loader.loads.find(
    (load) => isCode(load) && e_entry >= load.p_vaddr && e_entry + LIMIT <= load.p_vaddr + load.p_filesz,
  );
  if (!segment) return undefined;
  const view = loader.bytes.view(e_entry, LIMIT, "entry");
  const has = (at: number, bytes: readonly number[]) => bytes.every((byte, i) => view.getUint8(at + i) === byte);
  for (let at = 0; at + LENGTH + BEHIND.length <= LIMIT; at++) {
    if (!has(at, LEA_RDX) || !has(at + LENGTH, BEHIND)) continue;
    const target = add(e_entry, at + LENGTH + view.getInt32(at + LEA_RDX.length, true));
    const isThere = loader.loads.some(
      (load) => isCode(load) && target >= load.p_vaddr && target < load.p_vaddr + load.p_filesz,
    );
    return isThere ? loader.addressOf(target) : undefined;
  }
  return undefined;
}
