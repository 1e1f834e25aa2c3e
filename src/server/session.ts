// Turns the calls of a pass into orders for the asking thread. Strings, and memory that the callee writes to, are lent
// to it in its slot, which is at the same address in every process that has the channel.

import { cString } from "../../lib/memory/live.ts";
import type { Call, Linking } from "../../lib/process/process.ts";
import { ORDER_LIMIT } from "../agent/protocol.ts";
import type { Instruction, Slot } from "../agent/slot.ts";
import type { Functions } from "../passes/functions.ts";

/** Yields orders that are given together, and receives their results. */
export type Orders<Result> = Generator<readonly Instruction[], Result, readonly bigint[]>;

/** Runs a pass by orders. `asItIs` returns what to pass for a path that is to be opened. */
export function* orders<Result>(
  slot: Slot,
  functions: Functions,
  linking: Linking<Result>,
  asItIs = (path: string) => path,
): Orders<Result> {
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
): Orders<number[]> {
  const lent: { bytes: Uint8Array; buffer: Uint8Array }[] = [];
  const instructions: Instruction[] = [];
  for (const { name, at, arguments: list } of calls.slice(0, ORDER_LIMIT)) {
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
    instructions.push({ what: "call", target: at ?? functions[name], arguments: words as number[] });
  }
  if (instructions.length === 0) throw new Error(`Cannot order "${calls[0]?.name}": its arguments are too long`);
  const results = (yield instructions).map(Number);
  for (const { bytes, buffer } of lent) buffer.set(bytes);
  return results;
}
