// The sessions in progress, one a slot: what a thread that waits there is told to do until its request is answered. The
// calls of a pass become commands for the thread. Strings, and memory that the callee writes to, are lent to it in its
// slot, which is at the same address in every process that has the channel.

import { cString } from "../../lib/memory/live.ts";
import { type Address, toAddress } from "../../lib/memory/numbers.ts";
import { UnreadableError } from "../../lib/process/other.ts";
import type { Call, Linking } from "../../lib/process/process.ts";
import { COMMAND_LIMIT, SCRATCH_SIZE, State } from "../agent/protocol.ts";
import type { Command, Slot } from "../agent/slot.ts";
import { accountOf } from "../diagnostics/error-data.ts";
import { printableLines } from "../diagnostics/output.ts";
import type { Trace } from "../diagnostics/trace.ts";
import type { Functions } from "../passes/functions.ts";

/** The last commands of a session end it. */
export type Session = Commands<Command>;

/** Where sessions come from. */
interface Answerer {
  readonly trace: Trace;
  /** A request, from its first word to the last command. */
  answer(slot: Slot): Session;
  /** The functions of the asking process, if they are known. */
  functionsOf(slot: Slot): Functions | undefined;
}

export class Sessions {
  readonly #sessions = new Map<Slot, Session>();

  constructor(readonly answerer: Answerer) {}

  /** Continues a session, from the request or from the results of the last commands. */
  advance(slot: Slot): void {
    const before = slot.state;
    try {
      let session = this.#sessions.get(slot);
      if (before === State.asked || !session) session = this.answerer.answer(slot);
      this.#sessions.set(slot, session);
      const count = before === State.asked ? 0 : slot.commandCount;
      const step = session.next(slot.results(count));
      if (step.done) this.#sessions.delete(slot);
      this.#command(slot, step.done ? [step.value] : step.value);
    } catch (error) {
      this.#sessions.delete(slot);
      this.answerer.trace.log("request", () => `not answered: ${error instanceof Error ? error.stack : error}`);
      const failure: Command = { what: "fail", arguments: [] };
      // The client's memory is out of reach: it has to do without us.
      if (error instanceof UnreadableError) {
        this.#command(slot, [failure]);
        return;
      }
      // Nothing else would report it.
      const functions = this.answerer.functionsOf(slot);
      this.#command(slot, functions ? [line(slot, functions, accountOf(error)), failure] : [failure]);
    }
  }

  get isAmid(): boolean {
    return this.#sessions.size > 0;
  }

  #command(slot: Slot, commands: readonly Command[]): void {
    // One that has only been stopped for a while comes back with results.
    if (!slot.command(commands) && slot.state === State.left) this.forget(slot);
  }

  /** Frees the slot if the process that holds it is gone. Returns whether it was. */
  reclaim(slot: Slot, isGone: (pid: number) => boolean): boolean {
    const isFreed = slot.reclaim(isGone);
    if (isFreed) this.#sessions.delete(slot);
    return isFreed;
  }

  /**
   * Frees those of these slots whose processes have died. `isKnown` says whose end would be learned of otherwise.
   * Returns whether there are others that may die.
   */
  sweep(slots: readonly Slot[], isAlive: (pid: number) => boolean, isKnown: (pid: number) => boolean): boolean {
    let mayDie = false;
    for (const slot of slots) {
      let isDoubtful = false;
      const isFreed = this.reclaim(slot, (pid) => {
        isDoubtful = !isKnown(pid);
        return isDoubtful && !isAlive(pid);
      });
      if (isDoubtful && !isFreed) mayDie = true;
    }
    return mayDie;
  }

  /** The thread that waited in this slot has left. */
  forget(slot: Slot): void {
    this.#sessions.delete(slot);
    slot.free();
  }
}

/** Has the client write a line to standard error: the server has no descriptors. */
export function line(slot: Slot, functions: Functions, text: string): Command {
  return { what: "call", target: functions.write, arguments: [2, ...lentLine(slot, text)] };
}

/** A line for standard error: its address in the client, and its length. */
export function lentLine(slot: Slot, text: string): [at: Address, length: number] {
  const bytes = new TextEncoder().encode(`capsule: ${printableLines(text)}`.slice(0, SCRATCH_SIZE / 4).concat("\n"));
  return [slot.lend(bytes)?.at ?? toAddress(0), bytes.length];
}

/** Yields commands that are given together, and receives their results. */
export type Commands<Result> = Generator<readonly Command[], Result, readonly bigint[]>;

/** Runs a pass by commands. `asItIs` returns what to pass for a path that is to be opened. */
export function* byCommands<Result>(
  slot: Slot,
  functions: Functions,
  linking: Linking<Result>,
  asItIs = (path: string) => path,
): Commands<Result> {
  let step = linking.next();
  while (!step.done) {
    const calls = step.value;
    const results: number[] = [];
    while (results.length < calls.length)
      results.push(...(yield* some(slot, functions, calls.slice(results.length), asItIs)));
    step = linking.next(results);
  }
  return step.value;
}

const OPENING: ReadonlySet<string> = new Set(["dlopen", "dlmopen"]);

/** Makes as many of the calls, from the first on, as the slot has room for; at least one. */
function* some(
  slot: Slot,
  functions: Functions,
  calls: readonly Call[],
  asItIs: (path: string) => string,
): Commands<number[]> {
  const lent: { bytes: Uint8Array; buffer: Uint8Array }[] = [];
  const commands: Command[] = [];
  for (const { name, at, arguments: list } of calls.slice(0, COMMAND_LIMIT)) {
    const buffers: typeof lent = [];
    const words = list.map((argument) => {
      if (typeof argument === "number") return argument;
      const isPath = typeof argument === "string" && OPENING.has(name);
      const text = isPath ? asItIs(argument) : argument;
      const piece = slot.lend(typeof text === "string" ? cString(text) : text);
      if (piece && typeof argument !== "string") buffers.push({ bytes: piece.bytes, buffer: argument });
      return piece?.at;
    });
    if (words.includes(undefined)) break;
    lent.push(...buffers);
    commands.push({ what: "call", target: at ?? functions[name], arguments: words as number[] });
  }
  if (commands.length === 0) throw new Error(`Cannot call "${calls[0]?.name}": its arguments are too long`);
  const results = (yield commands).map(Number);
  for (const { bytes, buffer } of lent) buffer.set(bytes);
  return results;
}
