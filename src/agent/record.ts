// What the machine code in the process reads about the run. It is written before, and
// filled in as things come to be known.

import { layout, type Struct, u64 } from "../../lib/memory/layout.ts";
import { viewAt } from "../../lib/memory/live.ts";
import { type Address, add } from "../../lib/memory/numbers.ts";
import type { Linker } from "../launch.ts";

export const Record = layout("record", {
  argc: u64(),
  argv: u64<Address>(),
  /** Where the variable is that points at the environment. */
  environ: u64<Address>(),
  /** The program's link_map. */
  program: u64<Address>(),
  /** How many of Bun's threads block signals. */
  quieted: u64(),
});

/** How many words the order of destructors may have. */
const ORDER_LIMIT = 4096;

export class RunRecord {
  readonly fields: Struct<typeof Record>;
  readonly at: Address;
  /** For each capsule the address of its `iterate here`, NULL behind the last. */
  readonly iterators: Address;
  /** See emitCleanup. */
  readonly order: Address;

  constructor(launch: Linker, capsules: number) {
    this.at = launch.internWords(new Array<number>(Record.size / 8).fill(0));
    this.iterators = launch.internWords(new Array<number>(capsules + 1).fill(0));
    this.order = launch.internWords(new Array<number>(ORDER_LIMIT).fill(0));
    this.fields = Record.at(viewAt(this.at, Record.size));
  }

  get quieted(): Address {
    return add(this.at, Record.offsetOf.quieted);
  }

  setIterator(index: number, address: Address): void {
    viewAt(this.iterators, 8 * (index + 1)).setBigUint64(8 * index, BigInt(address), true);
  }

  /** More than there is room for is left to ld.so, which runs the capsules' destructors first. */
  setOrder(linkMaps: readonly number[]): void {
    if (linkMaps.length > ORDER_LIMIT) return;
    const view = viewAt(this.order, 8 * ORDER_LIMIT);
    linkMaps.forEach((linkMap, i) => {
      view.setBigUint64(8 * i, BigInt(linkMap), true);
    });
  }
}
