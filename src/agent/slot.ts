// A slot of a channel, as the server uses it; see protocol.ts.

import type { Struct } from "../../lib/memory/layout.ts";
import { bytesAt, viewAt } from "../../lib/memory/live.ts";
import { type Address, add, hex } from "../../lib/memory/numbers.ts";
import type { Libc } from "../../lib/process/libc.ts";
import { UnreadableError } from "../../lib/process/other.ts";
import { isBusy } from "../../lib/process/stat.ts";
import { CommandLayout, Request, SCRATCH_SIZE, SLOT_SIZE, SLOTS, SlotLayout, State, What } from "./protocol.ts";

/** One command, decoded. */
export interface Command {
  readonly what: keyof typeof What;
  readonly target?: Address;
  readonly arguments: readonly (number | bigint)[];
}

/** Bytes in a slot: their address in the client, and a view of them here. */
interface Lent {
  readonly at: Address;
  readonly bytes: Uint8Array;
}

/** What a slot needs of its channel. */
interface Place {
  readonly at: Address;
  readonly doorbell: number;
  awaitDoorbell(before: number, milliseconds: number): void;
  countAnswer(): void;
  intern(text: string): Address | undefined;
}

/** How long to spin for a client, in milliseconds; it copies a piece in less. */
const SPIN_MS = 0.05;
/** The longest that a client may do nothing, in milliseconds. */
const CLIENT_LIMIT_MS = 2000;
/** How long a client may take to copy a piece before we check what it does, in milliseconds. */
const LIVENESS_INTERVAL_MS = 100;

export class Slot {
  readonly at: Address;
  readonly #words: Int32Array;
  readonly #view: DataView;
  #used = 0;

  constructor(
    readonly libc: Libc,
    readonly channel: Place,
    readonly index: number,
  ) {
    this.at = add(channel.at, SLOTS + index * SLOT_SIZE);
    this.#view = viewAt(this.at, SLOT_SIZE);
    this.#words = new Int32Array(this.#view.buffer, this.#view.byteOffset, 2);
  }

  get state(): number {
    return Atomics.load(this.#words, 0) & 7;
  }

  /**
   * Frees the slot if `isGone` says so of the process that has asked in it, or is about to. That process may free it
   * meanwhile, and end, and another may ask in it: then it is not freed. Returns whether it was.
   */
  reclaim(isGone: (pid: number) => boolean): boolean {
    // In this order: the PID may be of a later client than the word, never of an earlier one.
    const word = Atomics.load(this.#words, 0);
    const state = word & 7;
    if (state === State.free || !isGone(state === State.claimed ? word >>> 3 : this.request.pid)) return false;
    // The same word is the same client's: a claim has its PID, and no other client's request gets back to any of the
    // other states without the server.
    if (Atomics.compareExchange(this.#words, 0, word, State.free) !== word) return false;
    this.libc.futexes.wake(this.at);
    return true;
  }

  /** It has a request or results, or was left. */
  get isForServer(): boolean {
    const { state } = this;
    return state === State.asked || state === State.executed || state === State.left;
  }

  /** How many commands it has. */
  get commandCount(): number {
    return this.#words[SlotLayout.count / 4] ?? 0;
  }

  free(): void {
    Atomics.store(this.#words, 0, State.free);
    this.libc.futexes.wake(this.at);
  }

  /** Goes from one state to another, unless the other side was faster. */
  change(from: number, to: number): boolean {
    return Atomics.compareExchange(this.#words, 0, from, to) === from;
  }

  get request(): Struct<typeof Request> {
    return Request.at(this.#view, SlotLayout.request);
  }

  /** Puts bytes where the client can see them until its next commands. Undefined if there is no room left. */
  lend(bytes: Uint8Array): Lent | undefined {
    if (this.#used + bytes.length > SCRATCH_SIZE) return undefined;
    const offset = SlotLayout.scratch + this.#used;
    const view = bytesAt(add(this.at, offset), bytes.length);
    view.set(bytes);
    this.#used += (bytes.length + 7) & ~7;
    return { at: add(this.#clientsSlot, offset), bytes: view };
  }

  get #clientsSlot(): Address {
    return add(this.request.channel, this.at - this.channel.at);
  }

  /**
   * Copies memory of the client through its function `copy` (to, from, length) while it waits for commands, where the
   * kernel does not let us. `direction` says what happens to the client's memory. Throws UnreadableError.
   */
  transport(direction: "read" | "write", copy: Address, address: Address, bytes: Uint8Array): void {
    const offset = SlotLayout.scratch + this.#used;
    const there = add(this.#clientsSlot, offset);
    const here = bytesAt(add(this.at, offset), SCRATCH_SIZE - this.#used);
    for (let done = 0; done < bytes.length; ) {
      const piece = bytes.subarray(done, done + here.length);
      if (direction === "write") here.set(piece);
      const place = add(address, done);
      const list = direction === "write" ? [place, there] : [there, place];
      const isSent = this.command([{ what: "call", target: copy, arguments: [...list, piece.length] }]);
      if (!isSent || !this.#awaitExecution())
        throw new UnreadableError(`Cannot ${direction} ${bytes.length} bytes at ${hex(address)}: nobody carries them`);
      if (direction === "read") piece.set(here.subarray(0, piece.length));
      done += piece.length;
    }
  }

  /** Returns false if the client is gone, or stopped: others wait, too. It may have to wait for a processor. */
  #awaitExecution(): boolean {
    const { request, libc } = this;
    const { pid, tid } = request;
    const soon = performance.now() + SPIN_MS;
    while (this.state === State.commanded && performance.now() < soon);
    let late = performance.now() + CLIENT_LIMIT_MS;
    while (performance.now() < late) {
      const { doorbell } = this.channel;
      if (this.state !== State.commanded) break;
      this.channel.awaitDoorbell(doorbell, LIVENESS_INTERVAL_MS);
      if (this.state !== State.commanded) break;
      if (!libc.system.isAlive(pid)) return false;
      if (isBusy(pid, tid)) late = performance.now() + CLIENT_LIMIT_MS;
    }
    return this.state === State.executed;
  }

  /** Gives the client its commands, at most COMMAND_LIMIT. Returns false if it no longer waits. */
  command(commands: readonly Command[]): boolean {
    const from = this.state;
    commands.forEach(({ what, target, arguments: list }, i) => {
      const at = SlotLayout.commands + i * CommandLayout.size;
      const fields = CommandLayout.at(this.#view, at);
      fields.what = What[what];
      fields.target = target ?? (0 as Address);
      list.forEach((word, k) => {
        this.#view.setBigUint64(at + CommandLayout.offsetOf.a0 + 8 * k, BigInt.asUintN(64, BigInt(word)), true);
      });
    });
    this.#words[SlotLayout.count / 4] = commands.length;
    this.#used = 0;
    if ((from !== State.asked && from !== State.executed) || !this.change(from, State.commanded)) return false;
    this.channel.countAnswer();
    this.libc.futexes.wake(this.at);
    return true;
  }

  /** What the calls of the last commands returned. */
  results(count: number): bigint[] {
    return Array.from(
      { length: count },
      (_, i) => CommandLayout.at(this.#view, SlotLayout.commands + i * CommandLayout.size).a0,
    );
  }
}
