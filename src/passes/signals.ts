// Signals as the program's parent has left them, and on the program's threads only.

import { readdirSync, readFileSync } from "node:fs";
import type { Libc } from "../../lib/loader/libc.ts";
import { u32At } from "../../lib/memory/live.ts";
import type { Address } from "../../lib/memory/numbers.ts";
import { FATAL_SIGNALS } from "../agent/code/signals.ts";

const SIGKILL = 9;
const SIGSTOP = 19;
/** The only signal of those that no thread of Bun's blocks (mimalloc's blocks most) which nobody sends. */
const SIGSYS = 31;
const SIGPWR = 30;
const LAST_STANDARD_SIGNAL = 31;
/** SIGPIPE and SIGXFSZ. */
const IGNORED_BY_BUN = [13, 25];
/** How long Bun's threads may take to be interrupted, in milliseconds. */
const PATIENCE = 100;

/**
 * Bun catches crashes and ignores SIGPIPE and SIGXFSZ; a program finds the defaults. What its parent had ignored stays so. SIGPWR, by
 * which JavaScriptCore stops threads to collect garbage concurrently, goes as well where it has been told not to do that (see main.ts):
 * the program may have a collector that uses it, too.
 */
export function resetSignals(libc: Libc): void {
  const status = readFileSync("/proc/self/status", "latin1");
  const handled = signalsIn(/^SigCgt:\s*(\w+)/m.exec(status)?.[1] ?? "0");
  const kept = [SIGKILL, SIGSTOP, ...(process.env.BUN_JSC_useConcurrentGC === "0" ? [] : [SIGPWR])];
  for (const signal of [...handled, ...IGNORED_BY_BUN])
    if (signal <= LAST_STANDARD_SIGNAL && !kept.includes(signal)) libc.resetSignal(signal);
}

/** Has `handler` called for signals that a program dies of, where they have their default disposition. */
export function catchFatalSignals(libc: Libc, handler: Address): void {
  for (const signal of Object.keys(FATAL_SIGNALS)) libc.handleSignal(Number(signal), handler);
}

/**
 * Has Bun's threads, and those that they will make, block all signals: a signal to the process is given to any thread that does not. `handler`
 * is emitQuieting's, `counter` the word in which it counts. Returns what waits until it has been done.
 */
export function quietOtherThreads(libc: Libc, handler: Address, counter: Address): () => void {
  if (!libc.handleSignal(SIGSYS, handler)) return () => {};
  const others = readdirSync("/proc/self/task")
    .map(Number)
    .filter((id) => id !== libc.pid);
  const sent = others.filter((id) => libc.signalThread(id, SIGSYS)).length;
  return () => {
    const end = performance.now() + PATIENCE;
    while (u32At(counter) < sent && performance.now() < end) libc.sleepOn(counter, u32At(counter), 1);
    // Whoever has not come to it may yet do, and by default the signal kills. A constructor may have set it to something else.
    if (u32At(counter) === sent && libc.handlerOf(SIGSYS) === handler) libc.resetSignal(SIGSYS);
  };
}

/** The signals in a mask as /proc/PID/status shows it. */
export function signalsIn(mask: string): number[] {
  const bits = BigInt(`0x${mask}`);
  return Array.from({ length: 64 }, (_, i) => i + 1).filter((signal) => (bits >> BigInt(signal - 1)) & 1n);
}
