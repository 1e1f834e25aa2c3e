// Restores signals as the program's parent left them, and directs them to the program's threads only.

import { readdirSync, readFileSync } from "node:fs";
import { u32At } from "../../lib/memory/live.ts";
import type { Address } from "../../lib/memory/numbers.ts";
import type { Libc } from "../../lib/process/libc.ts";
import { SIGPWR, SIGSETXID } from "../../lib/process/signals.ts";
import { unlessGone } from "../../lib/process/stat.ts";
import { ENDING_SIGNALS, FATAL_SIGNALS } from "../agent/code/signals.ts";
import { isBuns } from "./threads.ts";

const SIGKILL = 9;
const SIGSTOP = 19;
const LAST_STANDARD_SIGNAL = 31;
/** SIGPIPE and SIGXFSZ. */
const IGNORED_BY_BUN = [13, 25];
/** How long Bun's threads may take to be interrupted before we check whether they can be, in milliseconds. */
const INTERRUPT_LIMIT_MS = 100;

/**
 * Bun catches crashes and ignores SIGPIPE and SIGXFSZ; a program expects the defaults. What its parent ignored stays
 * ignored. SIGPWR, by which JavaScriptCore stops threads for concurrent collection, is reset, too, if that is switched
 * off (see engine-settings.ts): the program's own collector may use it. `own` are those that catchSignals has caught.
 */
export function resetSignals(libc: Libc, own: readonly number[] = []): void {
  const handled = settledSignals("self", ["SigCgt"]);
  const kept = [SIGKILL, SIGSTOP, ...own, ...(process.env.BUN_JSC_useConcurrentGC === "0" ? [] : [SIGPWR])];
  for (const signal of [...handled, ...IGNORED_BY_BUN])
    if (signal <= LAST_STANDARD_SIGNAL && !kept.includes(signal)) libc.signals.restore(signal);
}

/**
 * Installs `handler` for the signals that the process would die of: those that somebody sends, or those of its own
 * faults, of which the handler asks the server. Those that are handled or ignored stay so. Returns the others.
 */
export function catchSignals(libc: Libc, which: "sent" | "faults", handler: Address): number[] {
  const signals = which === "sent" ? ENDING_SIGNALS : Object.keys(FATAL_SIGNALS).map(Number);
  return signals.filter((signal) => libc.signals.handle(signal, handler));
}

/**
 * Makes Bun's threads, and those that they will create, block all signals: the kernel gives a signal to the process to
 * any thread that does not block it. `handler` and `restorer` are emitQuieting's, `counter` is the word in which it
 * counts. Returns a function that waits until this is done.
 */
export function quietOtherThreads(
  libc: Libc,
  { handler, restorer }: { readonly handler: Address; readonly restorer: Address },
  counter: Address,
): () => void {
  const before = libc.signals.exchange(SIGSETXID, handler, restorer);
  const told = new Set<number>();
  let sent = 0;
  const tell = (isMeant: (id: number) => boolean) => {
    for (const id of readdirSync("/proc/self/task").map(Number)) {
      if (id === libc.pid || told.has(id) || !isMeant(id)) continue;
      told.add(id);
      if (libc.signals.send(id, SIGSETXID)) sent++;
    }
  };
  tell(() => true);
  return () => {
    // Threads made since then by the main thread (a compiler's) have its mask; a constructor may have made others.
    tell(isBuns);
    const end = performance.now() + INTERRUPT_LIMIT_MS;
    while (u32At(counter) < sent && (performance.now() < end || [...told].some((id) => willHandle(id, SIGSETXID))))
      libc.futexes.sleepOn(counter, u32At(counter), 1);
    // A thread that has not handled the signal yet may still do so, and the default action would kill the process.
    if (u32At(counter) === sent) libc.signals.restore(SIGSETXID, before);
  };
}

/** Whether a thread of this process has yet to handle a signal that was sent to it, and does not block it. */
const willHandle = (thread: number, signal: number): boolean =>
  unlessGone(() => {
    const [pending, blocked] = ["SigPnd", "SigBlk"].map((mask) => settledSignals(`self/task/${thread}`, [mask]));
    return pending?.includes(signal) === true && blocked?.includes(signal) === false;
  }) ?? false;

/** The signals that a process handles or ignores, or those in one of these masks. `task` is its name in /proc. */
export function settledSignals(task: number | string, masks = ["SigCgt", "SigIgn"]): number[] {
  const status = readFileSync(`/proc/${task}/status`, "latin1");
  return masks.flatMap((name) => signalsIn(new RegExp(`^${name}:\\s*(\\w+)`, "m").exec(status)?.[1] ?? "0"));
}

/** The signals in a mask as /proc/PID/status shows it. */
export function signalsIn(mask: string): number[] {
  const bits = BigInt(`0x${mask}`);
  return Array.from({ length: 64 }, (_, i) => i + 1).filter((signal) => (bits >> BigInt(signal - 1)) & 1n);
}
