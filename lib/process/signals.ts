// Signals: what happens at one, and sending them to threads.

import { addressOf } from "../memory/live.ts";
import type { Address } from "../memory/numbers.ts";
import type { System } from "./system.ts";

/**
 * SIGSETXID, by which glibc makes all threads change their user (2.31-2.41): programs do not block it, debuggers pass
 * it on silently, and sigaction(3) rejects it.
 */
export const SIGSETXID = 33;

/** JavaScriptCore stops threads with it to collect garbage concurrently. */
export const SIGPWR = 30;

const [SA_SIGINFO, SA_RESTORER, SA_ONSTACK, SA_RESTART] = [4, 0x0400_0000, 0x0800_0000, 0x1000_0000] as const;
/** Of the kernel's sigset_t, in bytes. */
const MASK_SIZE = 8;
/** glibc's struct sigaction on x86-64: sa_handler, sa_mask (128 bytes), sa_flags, sa_restorer. */
const [ACTION_SIZE, SA_FLAGS] = [152, 136] as const;

/**
 * glibc's struct with a sa_sigaction handler, run on the alternate stack if there is one; without a handler, an empty
 * struct.
 */
export function newAction(handler?: Address): Uint8Array {
  const bytes = new Uint8Array(ACTION_SIZE);
  if (handler === undefined) return bytes;
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, BigInt(handler), true);
  view.setUint32(SA_FLAGS, SA_SIGINFO | SA_ONSTACK | SA_RESTART, true);
  return bytes;
}

export class Signals {
  constructor(
    readonly system: System,
    /** glibc's sigaction. */
    readonly sigaction: (signal: number, action: Uint8Array | null, before: Uint8Array | null) => number,
  ) {}

  /**
   * Installs native code as a signal's sa_sigaction (sigaction(2)). Returns false, and does nothing, if the signal is
   * already handled or ignored.
   */
  handle(signal: number, handler: Address): boolean {
    const before = newAction();
    if (this.sigaction(signal, null, before) !== 0 || before.subarray(0, 8).some((byte) => byte !== 0)) return false;
    return this.set(signal, handler);
  }

  /** Like handle, whatever the signal does now; without a handler, it has its default disposition. */
  set(signal: number, handler?: Address): boolean {
    return this.sigaction(signal, newAction(handler), null) === 0;
  }

  /** Installs a handler unconditionally, also for signals that glibc reserves. Returns the kernel's previous record. */
  exchange(signal: number, handler: Address, restorer: Address): BigUint64Array {
    // The kernel's struct sigaction: handler, flags, restorer, mask.
    const flags = BigInt(SA_SIGINFO | SA_RESTART | SA_RESTORER);
    const action = BigUint64Array.of(BigInt(handler), flags, BigInt(restorer), 0n);
    const before = new BigUint64Array(action.length);
    this.system.call("rt_sigaction", signal, addressOf(action), addressOf(before), MASK_SIZE);
    return before;
  }

  /** Gives a signal what exchange() has returned; by default its default disposition. */
  restore(signal: number, action: BigUint64Array = new BigUint64Array(4)): void {
    // Zeroes are SIG_DFL, no flags, an empty mask. glibc would add SA_RESTORER.
    this.system.call("rt_sigaction", signal, addressOf(action), 0, MASK_SIZE);
  }

  /** Sends a signal to a thread of this process. Returns false if there is no such thread. */
  send(thread: number, signal: number): boolean {
    return this.system.call("tgkill", process.pid, thread, signal) === 0;
  }

  /** Disables the calling thread's alternate signal stack. */
  dropStack(): void {
    const SS_DISABLE = 2n;
    const stack = BigUint64Array.of(0n, SS_DISABLE, 0n); // stack_t: ss_sp, ss_flags, ss_size
    this.system.call("sigaltstack", addressOf(stack));
  }
}
