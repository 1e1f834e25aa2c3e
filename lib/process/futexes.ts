// Words that threads sleep on until others wake them: futex(2).

import { addressOf, u32At } from "../memory/live.ts";
import type { Address } from "../memory/numbers.ts";
import { ERRNO, FUTEX_WAIT, FUTEX_WAKE } from "../x86-64/linux.ts";
import type { System } from "./system.ts";

const [FUTEX_32, CLOCK_MONOTONIC, EVERYBODY] = [2n, 1, 0x7fff_ffff] as const;
const [NS_PER_MS, NS_PER_S] = [1e6, 1_000_000_000n] as const;

export class Futexes {
  constructor(readonly system: System) {}

  /** Sleeps while the 32-bit word at an address has that value, at most `milliseconds`; may wake spuriously. */
  sleepOn(word: Address, value: number, milliseconds?: number): void {
    const timeout = milliseconds === undefined ? undefined : timespec(nanoseconds(milliseconds));
    this.system.call("futex", word, FUTEX_WAIT, value, timeout && addressOf(timeout));
  }

  /** Sleeps until the word has another value. Returns false if that takes longer. */
  awaitChange(word: Address, value: number, milliseconds: number): boolean {
    const end = performance.now() + milliseconds;
    while (u32At(word) === value) {
      const left = end - performance.now();
      if (left <= 0) return false;
      this.sleepOn(word, value, left);
    }
    return true;
  }

  /** Can a thread sleep on several words at once? Since Linux 5.16. */
  get canSleepOnAny(): boolean {
    return this.system.call("futex_waitv") !== -ERRNO.ENOSYS;
  }

  /** Like sleepOn, for several words at once. */
  sleepOnAny(words: readonly { readonly word: Address; readonly value: number }[], milliseconds?: number): void {
    // struct futex_waitv: val, uaddr, flags
    const fields = words.flatMap(({ word, value }) => [BigInt(value >>> 0), BigInt(word), FUTEX_32]);
    const waiters = BigUint64Array.from(fields);
    const until = milliseconds === undefined ? undefined : this.#timeIn(milliseconds);
    this.system.call("futex_waitv", addressOf(waiters), words.length, 0, until && addressOf(until), CLOCK_MONOTONIC);
  }

  /** An absolute time. Not by process.hrtime, which counts from the start of the process in Bun (1.4.5). */
  #timeIn(milliseconds: number): BigInt64Array {
    const now = timespec(0n);
    this.system.call("clock_gettime", CLOCK_MONOTONIC, addressOf(now));
    const [seconds = 0n, rest = 0n] = now;
    return timespec(seconds * NS_PER_S + rest + nanoseconds(milliseconds));
  }

  /** Wakes all threads that sleep on the word at an address. */
  wake(word: Address): void {
    this.system.call("futex", word, FUTEX_WAKE, EVERYBODY);
  }
}

const nanoseconds = (milliseconds: number): bigint => BigInt(Math.round(milliseconds * NS_PER_MS));

/** A struct timespec: seconds, nanoseconds. */
const timespec = (nanoseconds: bigint): BigInt64Array =>
  BigInt64Array.of(nanoseconds / NS_PER_S, nanoseconds % NS_PER_S);
