// What the machine code in the process reads about the run. It is made first, and filled in as values become known.

import { layout, type Struct, u64 } from "../../lib/memory/layout.ts";
import { viewAt } from "../../lib/memory/live.ts";
import { type Address, add } from "../../lib/memory/numbers.ts";
import { ENDING_WORDS } from "./code/destructors.ts";

export const Record = layout("record", {
  argc: u64(),
  argv: u64<Address>(),
  /** The address of the variable that points at the environment. */
  environ: u64<Address>(),
  /** The program's link_map. */
  program: u64<Address>(),
  /** How many of Bun's threads block signals. */
  quieted: u64(),
  /** See emitLeavingFunctions. */
  key: u64(),
});

export class RunRecord {
  readonly fields: Struct<typeof Record>;
  readonly at: Address;
  /** For each capsule the address of its `iterate here`; NULL after the last. */
  readonly iterators: Address;
  /** See emitCleanup. */
  readonly ending: Address;

  constructor(process: { internWords(words: readonly number[]): Address }, capsules: number) {
    this.at = process.internWords(new Array<number>(Record.size / 8).fill(0));
    this.iterators = process.internWords(new Array<number>(capsules + 1).fill(0));
    this.ending = process.internWords(new Array<number>(ENDING_WORDS).fill(0));
    this.fields = Record.at(viewAt(this.at, Record.size));
  }

  addressOf(field: keyof typeof Record.offsetOf): Address {
    return add(this.at, Record.offsetOf[field]);
  }

  setIterator(index: number, address: Address): void {
    viewAt(this.iterators, 8 * (index + 1)).setBigUint64(8 * index, BigInt(address), true);
  }

  setEnding(words: readonly number[]): void {
    const view = viewAt(this.ending, 8 * ENDING_WORDS);
    words.forEach((word, i) => {
      view.setBigUint64(8 * i, BigInt(word), true);
    });
  }
}
