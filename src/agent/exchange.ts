// A slot of a channel, as the server uses it; see protocol.ts.

import type { Libc } from "../../lib/loader/libc.ts";
import type { Struct } from "../../lib/memory/layout.ts";
import { bytesAt, viewAt } from "../../lib/memory/live.ts";
import { type Address, add } from "../../lib/memory/numbers.ts";
import type { Channel } from "./channel.ts";
import { Order, Request, SCRATCH_SIZE, SLOT_SIZE, SLOTS, Slot, State, What } from "./protocol.ts";

/** One order, as what it says. */
export interface Instruction {
  readonly what: keyof typeof What;
  readonly target?: Address;
  readonly arguments: readonly (number | bigint)[];
}

/** A slot of the channel. */
export class Exchange {
  readonly at: Address;
  readonly #words: Int32Array;
  readonly #view: DataView;
  #used = 0;

  constructor(
    readonly libc: Libc,
    readonly channel: Channel,
    readonly index: number,
  ) {
    this.at = add(channel.at, SLOTS + index * SLOT_SIZE);
    this.#view = viewAt(this.at, SLOT_SIZE);
    this.#words = new Int32Array(this.#view.buffer, this.#view.byteOffset, 2);
  }

  get state(): number {
    return Atomics.load(this.#words, 0);
  }

  /** A request, or results. */
  get isForServer(): boolean {
    const { state } = this;
    return state === State.asked || state === State.obeyed || state === State.left;
  }

  /** The process that has asked in it. */
  get asker(): number | undefined {
    const { state } = this;
    return state === State.free || state === State.claimed ? undefined : this.request.pid;
  }

  /** How many orders there are in it. */
  get ordered(): number {
    return this.#words[Slot.count / 4] ?? 0;
  }

  free(): void {
    Atomics.store(this.#words, 0, State.free);
    this.libc.wake(this.at);
  }

  /** Goes from one state to another, unless the other side was faster. */
  change(from: number, to: number): boolean {
    return Atomics.compareExchange(this.#words, 0, from, to) === from;
  }

  get request(): Struct<typeof Request> {
    return Request.at(this.#view, Slot.request);
  }

  /** Puts bytes where the asker can see them until it is ordered again. Undefined where there is no room left. */
  lend(bytes: Uint8Array): Address | undefined {
    if (this.#used + bytes.length > SCRATCH_SIZE) return undefined;
    const at = add(this.at, Slot.scratch + this.#used);
    bytesAt(at, bytes.length).set(bytes);
    this.#used += (bytes.length + 7) & ~7;
    return at;
  }

  /** What the asker has done with bytes that were lent to it. */
  returned(at: Address, length: number): Uint8Array {
    return bytesAt(at, length);
  }

  /** Gives the asker its orders, at most ORDER_LIMIT. Returns false where it waits no longer. */
  order(from: number, instructions: readonly Instruction[]): boolean {
    instructions.forEach(({ what, target, arguments: list }, i) => {
      const at = Slot.orders + i * Order.size;
      const fields = Order.at(this.#view, at);
      fields.what = What[what];
      fields.target = target ?? (0 as Address);
      list.forEach((word, k) => {
        this.#view.setBigUint64(at + Order.offsetOf.a0 + 8 * k, BigInt.asUintN(64, BigInt(word)), true);
      });
    });
    this.#words[Slot.count / 4] = instructions.length;
    this.#used = 0;
    if (from === State.left || !this.change(from, State.ordered)) return false;
    this.libc.wake(this.at);
    return true;
  }

  /** What the calls of the last orders have returned. */
  results(count: number): bigint[] {
    return Array.from({ length: count }, (_, i) => Order.at(this.#view, Slot.orders + i * Order.size).a0);
  }
}
