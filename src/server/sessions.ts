// The sessions in progress, one a slot.

import { UnreadableError } from "../../lib/process/other.ts";
import { State } from "../agent/protocol.ts";
import type { Instruction, Slot } from "../agent/slot.ts";
import { line, type Requests, type Session } from "./requests.ts";

export class Sessions {
  readonly #sessions = new Map<Slot, Session>();

  constructor(readonly requests: Requests) {}

  /** Continues a session, from the request or from the results of the last orders. */
  advance(slot: Slot): void {
    const before = slot.state;
    try {
      let session = this.#sessions.get(slot);
      if (before === State.asked || !session) session = this.requests.answer(slot);
      this.#sessions.set(slot, session);
      const count = before === State.asked ? 0 : slot.ordered;
      const step = session.next(slot.results(count));
      if (step.done) this.#sessions.delete(slot);
      this.#order(slot, step.done ? [step.value] : step.value);
    } catch (error) {
      this.#sessions.delete(slot);
      this.requests.trace.log("request", () => `not answered: ${error instanceof Error ? error.stack : error}`);
      const failure: Instruction = { what: "fail", arguments: [] };
      // The client's memory is out of reach: it has to do without us.
      if (error instanceof UnreadableError) {
        this.#order(slot, [failure]);
        return;
      }
      // An error of ours: nothing else would report it.
      const functions = this.requests.functionsOf(slot);
      const text = String(error instanceof Error ? error.stack : error);
      this.#order(slot, functions ? [line(slot, functions, text), failure] : [failure]);
    }
  }

  get isAmid(): boolean {
    return this.#sessions.size > 0;
  }

  #order(slot: Slot, instructions: readonly Instruction[]): void {
    if (!slot.order(instructions)) this.forget(slot);
  }

  /** No thread waits in this slot any more. */
  forget(slot: Slot): void {
    this.#sessions.delete(slot);
    slot.free();
  }
}
