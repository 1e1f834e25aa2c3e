// The server's side of the shared pages, and the main thread's for the little that it reports; see protocol.ts.

import { addressOf, bytesAt, cString, viewAt } from "../../lib/memory/live.ts";
import { type Address, add } from "../../lib/memory/numbers.ts";
import type { Libc } from "../../lib/process/libc.ts";
import { ARENA, ARENA_SIZE, CHANNEL_SIZE, Header, Kind, PENDING, SLOT_COUNT, State } from "./protocol.ts";
import { Slot } from "./slot.ts";

/** How often to check that a server is alive, in milliseconds. */
const LIVENESS_INTERVAL_MS = 100;

/** The channels that one thread answers. */
export class Channels {
  readonly #all: readonly Channel[];
  /** Those that have a doorbell of their own. */
  readonly #doorbells: readonly Channel[];

  constructor(
    readonly libc: Libc,
    ...all: readonly Channel[]
  ) {
    this.#all = all;
    this.#doorbells = all.filter(({ withDoorbell }) => !withDoorbell);
  }

  /** The doorbells' counts. */
  get doorbells(): number[] {
    return this.#doorbells.map(({ doorbell }) => doorbell);
  }

  /** Whether a doorbell differs from these counts. */
  haveRung(before: readonly number[]): boolean {
    return this.#doorbells.some(({ doorbell }, i) => doorbell !== before[i]);
  }

  asked(): Slot[] {
    return this.#all.flatMap((channel) => channel.asked());
  }

  get slots(): Slot[] {
    return this.#all.flatMap(({ slots }) => slots);
  }

  /** Sleeps until a doorbell differs from these counts. */
  awaitDoorbell(before: readonly number[], milliseconds?: number): void {
    const words = this.#doorbells.map(({ at }, i) => ({ word: at, value: before[i] ?? 0 }));
    const [first] = words;
    if (first && words.length === 1) this.libc.futexes.sleepOn(first.word, first.value, milliseconds);
    else this.libc.futexes.sleepOnAny(words, milliseconds);
  }

  /** As awaitDoorbell, but spins. */
  spin(before: readonly number[], milliseconds: number): void {
    const end = performance.now() + milliseconds;
    while (!this.haveRung(before) && performance.now() < end);
  }

  /** This thread answers from now on. */
  open(): void {
    for (const channel of this.#all) channel.open();
  }

  close(): void {
    for (const channel of this.#all) channel.close();
  }
}

export class Channel {
  readonly #slots: Slot[] = [];
  readonly #header: Int32Array;
  readonly #pending: Uint8Array;
  readonly #interned = new Map<string, Address>();
  #arena = 0;
  /** What the server is reading, which nothing else keeps from being collected. */
  readonly #told = new Set<Uint8Array>();

  /** `doorbell` is the channel that has the doorbell; without it, the new channel has its own. */
  static make(libc: Libc, isShared = true, doorbell?: Channel): Channel {
    return new Channel(libc, libc.pages.allocate(CHANNEL_SIZE, isShared), doorbell);
  }

  constructor(
    readonly libc: Libc,
    readonly at: Address,
    readonly withDoorbell?: Channel,
    readonly slotCount = SLOT_COUNT,
  ) {
    const view = viewAt(at, Header.size);
    this.#header = new Int32Array(view.buffer, view.byteOffset, Header.size / 4);
    this.#pending = bytesAt(add(at, PENDING), slotCount);
  }

  /** Slots are made on first access: most are never used. */
  slot(index: number): Slot {
    let slot = this.#slots[index];
    if (!slot) {
      slot = new Slot(this.libc, this, index);
      this.#slots[index] = slot;
    }
    return slot;
  }

  get slots(): Slot[] {
    return Array.from({ length: this.slotCount }, (_, i) => this.slot(i));
  }

  /** The slots that have been used. */
  get used(): Slot[] {
    return Object.values(this.#slots);
  }

  /** The slots that wait for the server. */
  asked(): Slot[] {
    const found: Slot[] = [];
    for (let i = this.#pending.indexOf(1); i >= 0; i = this.#pending.indexOf(1, i + 1)) {
      // Cleared first: a mark set from here on is found the next time.
      Atomics.store(this.#pending, i, 0);
      const slot = this.slot(i);
      if (slot.isForServer) found.push(slot);
    }
    return found;
  }

  get doorbell(): number {
    if (this.withDoorbell) return this.withDoorbell.doorbell;
    return Atomics.load(this.#header, Header.offsetOf.doorbell / 4);
  }

  /** Shows the clients that the server answers. */
  countAnswer(): void {
    Atomics.add(this.#header, Header.offsetOf.answers / 4, 1);
  }

  /** Sleeps until the doorbell differs from `before`. */
  awaitDoorbell(before: number, milliseconds?: number): void {
    this.libc.futexes.sleepOn((this.withDoorbell ?? this).at, before, milliseconds);
  }

  /** This thread answers from now on. */
  open(): void {
    this.#header[Header.offsetOf.pid / 4] = this.libc.pid;
    this.#header[Header.offsetOf.tid / 4] = this.libc.system.threadId;
    this.#setServed(1);
  }

  close(): void {
    this.#setServed(0);
  }

  /** Unmaps it. No thread may use it any more, nor this object. */
  free(): void {
    this.libc.pages.free(this.at, CHANNEL_SIZE);
  }

  /** Waits until a server answers. Returns false when that takes longer. */
  awaitServer(milliseconds: number): boolean {
    return this.libc.futexes.awaitChange(add(this.at, Header.offsetOf.isServed), 0, milliseconds);
  }

  /**
   * The main thread's own request: hands over a text. If `isAwaited`, waits until it has been read; returns false if
   * the server ends before.
   */
  tell(text: string, isAwaited = false): boolean {
    const bytes = Buffer.from(text);
    // The server may read it later, unless we wait: then it is kept until we have.
    if (isAwaited) this.#told.add(bytes);
    const at = isAwaited ? addressOf(bytes) : this.libc.allocate(bytes.length);
    if (!isAwaited) bytesAt(at, bytes.length).set(bytes);
    const slot = this.#claim();
    if (!slot) return false;
    const { request } = slot;
    request.pid = this.libc.pid;
    request.kind = Kind.state;
    request.a0 = BigInt(at);
    request.a1 = BigInt(bytes.length);
    slot.change(State.claimed, State.asked);
    Atomics.store(this.#pending, slot.index, 1);
    this.#ring();
    if (!isAwaited) return true;
    while (!this.libc.futexes.awaitChange(slot.at, State.asked, LIVENESS_INTERVAL_MS))
      if (!this.#hasServer) return false;
    this.#told.delete(bytes);
    return true;
  }

  /** Whether a thread of this process answers. */
  get #hasServer(): boolean {
    const [isServed = 0, tid = 0] = [Header.offsetOf.isServed, Header.offsetOf.tid].map((at) => this.#header[at / 4]);
    return isServed === 1 && this.libc.signals.send(tid, 0);
  }

  #claim(): Slot | undefined {
    for (let i = 0; i < this.slotCount; i++) {
      const slot = this.slot(i);
      if (slot.change(State.free, State.claimed)) return slot;
    }
    return undefined;
  }

  #ring(): void {
    if (this.withDoorbell) {
      this.withDoorbell.#ring();
      return;
    }
    Atomics.add(this.#header, Header.offsetOf.doorbell / 4, 1);
    this.libc.futexes.wake(this.at);
  }

  /**
   * A C string that stays, visible in every process that has the channel; equal strings share one copy. Undefined when
   * there is no room left.
   */
  intern(text: string): Address | undefined {
    let at = this.#interned.get(text);
    if (at === undefined) {
      const bytes = cString(text);
      if (this.#arena + bytes.length > ARENA_SIZE) return undefined;
      at = add(this.at, ARENA + this.#arena);
      bytesAt(at, bytes.length).set(bytes);
      this.#arena += bytes.length;
      this.#interned.set(text, at);
    }
    return at;
  }

  #setServed(value: number): void {
    Atomics.store(this.#header, Header.offsetOf.isServed / 4, value);
    this.libc.futexes.wake(add(this.at, Header.offsetOf.isServed));
  }
}
