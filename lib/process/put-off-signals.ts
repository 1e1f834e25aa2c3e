// Signals that this process would die of are put off while it has something that only it can remove: a handler of a few
// instructions notes that one has come. It is for milliseconds in which nothing is waited for.

import { u32At } from "../memory/live.ts";
import type { Address } from "../memory/numbers.ts";
import { Assembler } from "../x86-64/assembler.ts";
import { edi } from "../x86-64/narrow-registers.ts";
import { mem, rip } from "../x86-64/operands.ts";
import { rax } from "../x86-64/registers.ts";
import type { Libc } from "./libc.ts";

/** Those by which users and machines end processes: SIGHUP, SIGINT, SIGQUIT, SIGTERM. */
const ENDING = [1, 2, 3, 15];

export class PutOffSignals {
  /** The word that has the number of the last one. */
  readonly #came: Address;
  readonly #caught: number[];

  /** Those that are handled or ignored stay so. */
  constructor(readonly libc: Pick<Libc, "allocate" | "placeCode" | "signals" | "write">) {
    this.#came = libc.allocate(8);
    libc.write(this.#came, new Uint8Array(8));
    const to = new Assembler();
    to.mov(rip("came"), rax).mov(edi, mem(rax)).ret();
    to.align(8).quads({ came: this.#came });
    const handler = libc.placeCode(to.assemble().bytes);
    this.#caught = ENDING.filter((signal) => libc.signals.handle(signal, handler));
  }

  /**
   * From now on they are `handler`'s, or end the process. One that has come takes effect before this returns. Returns
   * those that were put off.
   */
  end(handler?: Address): number[] {
    const { signals } = this.libc;
    const caught = this.#caught.splice(0);
    for (const signal of caught) signals.set(signal, handler);
    const came = u32At(this.#came);
    if (came !== 0) signals.send(process.pid, came);
    return caught;
  }
}
