// The sessions that are being led, one a slot.

import { UnreadableError } from "../../lib/process/other.ts";
import { State } from "../agent/protocol.ts";
import type { Exchange, Instruction } from "../agent/slot.ts";
import { line, type Requests, type Session } from "./requests.ts";

export class Sessions {
  readonly #sessions = new Map<Exchange, Session>();

  constructor(readonly requests: Requests) {}

  /** Goes on with a session, from the request or from the results of the last orders. */
  advance(exchange: Exchange): void {
    const before = exchange.state;
    try {
      let session = this.#sessions.get(exchange);
      if (before === State.asked || !session) session = this.requests.answer(exchange);
      this.#sessions.set(exchange, session);
      const count = before === State.asked ? 0 : exchange.ordered;
      const step = session.next(exchange.results(count));
      if (step.done) this.#sessions.delete(exchange);
      this.#order(exchange, step.done ? [step.value] : step.value);
    } catch (error) {
      this.#sessions.delete(exchange);
      this.requests.trace.tell("request", () => `not answered: ${error instanceof Error ? error.stack : error}`);
      const failure: Instruction = { what: "fail", arguments: [] };
      // Its memory is out of reach: it has to do without us.
      if (error instanceof UnreadableError) {
        this.#order(exchange, [failure]);
        return;
      }
      // A fault of ours: nobody else would show it.
      const functions = this.requests.functionsOf(exchange);
      const text = String(error instanceof Error ? error.stack : error);
      this.#order(exchange, functions ? [line(exchange, functions, text), failure] : [failure]);
    }
  }

  get isAmid(): boolean {
    return this.#sessions.size > 0;
  }

  #order(exchange: Exchange, instructions: readonly Instruction[]): void {
    if (!exchange.order(instructions)) this.forget(exchange);
  }

  /** Nobody waits in this slot any more. */
  forget(exchange: Exchange): void {
    this.#sessions.delete(exchange);
    exchange.free();
  }
}
