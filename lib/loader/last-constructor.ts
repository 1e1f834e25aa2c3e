// The constructor of an object that ld.so calls last: the last one in DT_INIT_ARRAY, or else DT_INIT. ld.so reads each
// just before it calls it, so it calls whatever was written there.

import { DT_INIT, DT_INIT_ARRAY, DT_INIT_ARRAYSZ } from "../elf/constants.ts";
import { Dyn } from "../elf/dyn.ts";
import type { LoadedImage } from "../elf/loaded.ts";
import { type Address, add, toAddress, toVaddr } from "../memory/numbers.ts";
import { type Process, pointerIn } from "../process/process.ts";

export interface Constructor {
  readonly address: Address;
  /** Where ld.so reads what to call, and what it adds to that. */
  readonly slot: Address;
  readonly bias: number;
}

/** Undefined for an object that has none. */
export function lastConstructor(process: Process, image: LoadedImage): Constructor | undefined {
  const { dynamic } = image;
  const size = dynamic.get(DT_INIT_ARRAYSZ) ?? 0;
  if (size >= 8) {
    const slot = image.addressOf(toVaddr((dynamic.get(DT_INIT_ARRAY) ?? 0) + size - 8));
    return { address: pointerIn(process, slot), slot, bias: 0 };
  }
  const entry = dynamic.entries.findLast(({ tag }) => tag === DT_INIT);
  return (
    entry && {
      address: image.addressOf(toVaddr(entry.value)),
      slot: image.addressOf(add(image.dynamicAt, entry.at + Dyn.offsetOf.d_val)),
      bias: image.loadBias,
    }
  );
}

/** What to write into its slot to have `address` called instead. */
export const calling = ({ bias }: Constructor, address: Address): Address => toAddress(address - bias);
