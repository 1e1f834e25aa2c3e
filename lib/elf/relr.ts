// DT_RELR (gABI draft; glibc ≥ 2.36): packed relative relocations. An even word is the vaddr of a slot; an odd one is a
// bitmap of the 63 slots that follow.

import { readU64 } from "../memory/layout.ts";
import { toVaddr, type Vaddr } from "../memory/numbers.ts";

const SLOT = 8;

/** The vaddrs of all slots that the table relocates, in order. The loader adds the load bias to the vaddr in each. */
export function* relrSlots(table: DataView): Generator<Vaddr> {
  let next = 0;
  for (let at = 0; at + SLOT <= table.byteLength; at += SLOT) {
    const bits = table.getBigUint64(at, true);
    if ((bits & 1n) === 0n) {
      const slot = readU64(table, at);
      yield toVaddr(slot);
      next = slot + SLOT;
    } else {
      for (let i = 0; i < 63; i++) if ((bits >> BigInt(i + 1)) & 1n) yield toVaddr(next + i * SLOT);
      next += 63 * SLOT;
    }
  }
}
