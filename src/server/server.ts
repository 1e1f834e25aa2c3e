// The loop of a server: it answers requests, works ahead while there are none, and sleeps when that is done. It never
// returns to Bun's event loop. Its two kinds of clients are the hosted program with its forked children
// (hosted/server.ts), and attached processes (attached/server.ts).

import { writeSync } from "node:fs";
import type { Channels } from "../agent/channel.ts";
import { State } from "../agent/protocol.ts";
import type { Slot } from "../agent/slot.ts";
import { accountOf } from "../diagnostics/error-data.ts";
import { printableLines } from "../diagnostics/output.ts";
import type { Requests } from "./requests.ts";

/** How long to poll for another request before turning to idle work, in milliseconds. */
const SPIN_MS = 0.05;
/** The same, while a client executes commands. */
const SPIN_WHILE_CALLED_MS = 1;
/** How often to check whether a process has died during its request, in milliseconds. */
const SWEEP_INTERVAL_MS = 1000;

export abstract class Server<Kind extends Requests> {
  /** Undefined before anything can be answered. */
  protected requests: Kind | undefined;
  /** Idle work, in steps between which requests are answered. */
  protected idle: Generator<undefined> | undefined;

  constructor(readonly channels: Channels) {}

  /** What to do before requests are read. Returns false if there will be no more. */
  protected abstract attend(): boolean;

  /** Called before sleeping. Returns how long to sleep at most, in milliseconds. */
  protected abstract patience(): number | undefined;

  /** Called if nothing has happened for that long. */
  protected rest(): void {}

  /** Called when there will be no more requests. */
  protected end(): void {}

  /** Answers until there will be no more requests. Returns false if it had to give up, which it reports. */
  serve(): boolean {
    const { channels } = this;
    try {
      for (;;) {
        // Whatever arrives from here on rings again.
        const { doorbells } = channels;
        if (!this.attend()) {
          this.end();
          return true;
        }
        const asked = channels.asked();
        if (asked.length > 0) {
          this.answer(asked);
          // One request often follows another, sooner than a thread can be woken.
          channels.spin(doorbells, this.requests?.isAmid ? SPIN_WHILE_CALLED_MS : SPIN_MS);
        } else if (!this.#goOn()) this.#sleep(doorbells);
      }
    } catch (error) {
      reportEnd(error);
      this.#giveUp();
      return false;
    }
  }

  protected answer(asked: readonly Slot[]): void {
    for (const slot of asked) this.requests?.advance(slot);
  }

  /** Does a step of idle work. Returns whether there was any. */
  #goOn(): boolean {
    try {
      if (this.idle && !this.idle.next().done) return true;
    } catch (error) {
      // For example, a library is damaged. The error is reported to the caller that requests it.
      this.requests?.trace.log("request", () => `not prepared: ${error instanceof Error ? error.stack : error}`);
    }
    this.idle = undefined;
    return false;
  }

  #sleep(doorbells: readonly number[]): void {
    const isSweeping = this.requests?.sweep() ?? false;
    const waits = [isSweeping ? SWEEP_INTERVAL_MS : undefined, this.patience()].filter((wait) => wait !== undefined);
    this.channels.awaitDoorbell(doorbells, waits.length > 0 ? Math.min(...waits) : undefined);
    if (!this.channels.haveRung(doorbells)) this.rest();
  }

  /** Releases the waiting clients. */
  #giveUp(): void {
    this.channels.close();
    for (const slot of this.channels.slots)
      if (slot.state === State.asked || slot.state === State.executed) slot.command([{ what: "fail", arguments: [] }]);
  }
}

export function reportEnd(error: unknown): void {
  const text = printableLines(accountOf(error));
  writeSync(2, `capsule: what is asked is not answered any more: ${text}\n`);
}
