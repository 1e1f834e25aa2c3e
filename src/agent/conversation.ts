// One request, from its first byte to its last: turns the calls of a pass into
// orders for the agent, and the agent's bytes into what the pass is waiting for.
// In the asker's own memory strings are given as they are; in a forked child's,
// which is a copy, they are stored first.

import { readU64 } from "../../lib/memory/layout.ts";
import { addressOf } from "../../lib/memory/live.ts";
import { type Address, toAddress } from "../../lib/memory/numbers.ts";
import type { Argument, Call, Linking, Process } from "../../lib/process/process.ts";
import type { Functions } from "../launch.ts";
import { Order, What } from "./protocol.ts";

/** What is sent next: an order with bytes behind it, and how many bytes come back. */
export interface Message {
  readonly bytes: Uint8Array;
  readonly reply: number;
}

type Orders<Result> = Generator<Message, Result, DataView>;

export interface Asker {
  readonly process: Process;
  readonly functions: Functions;
  /** The same address space as ours. */
  readonly isOwn: boolean;
  intern(text: string): Address;
  readonly malloc: Address;
  readonly free: Address;
}

export function order(
  what: keyof typeof What,
  target: number,
  list: readonly (number | bigint)[],
  payload?: Uint8Array,
): Uint8Array {
  const bytes = new Uint8Array(Order.size + (payload?.length ?? 0));
  const fields = Order.at(new DataView(bytes.buffer));
  fields.what = What[what];
  fields.target = toAddress(target);
  (["a0", "a1", "a2", "a3", "a4", "a5"] as const).forEach((name, i) => {
    fields[name] = BigInt(list[i] ?? 0);
  });
  if (payload) bytes.set(payload, Order.size);
  return bytes;
}

/** Runs a pass by orders to a thread that waits for them. */
export function* orders<Result>(asker: Asker, linking: Linking<Result>): Orders<Result> {
  let step = linking.next();
  while (!step.done) {
    const calls = step.value;
    if (asker.isOwn) step = linking.next(yield* callHere(asker, calls));
    else {
      const results: number[] = [];
      for (const { name, arguments: list } of calls) results.push(yield* callThere(asker, asker.functions[name], list));
      step = linking.next(results);
    }
  }
  return step.value;
}

function* callOne(target: Address, list: readonly number[]): Orders<number> {
  const reply = yield { bytes: order("call", target, list), reply: 8 };
  return readU64(reply, 0);
}

/** All calls in one message: the agent reads one behind the other, and nobody waits in between. */
function* callHere(asker: Asker, calls: readonly Call[]): Orders<number[]> {
  const bytes = calls.map(({ name, arguments: list }) =>
    order(
      "call",
      asker.functions[name],
      list.map((argument) => {
        if (typeof argument === "number") return argument;
        return typeof argument === "string" ? asker.intern(argument) : addressOf(argument);
      }),
    ),
  );
  const reply = yield { bytes: new Uint8Array(Buffer.concat(bytes)), reply: 8 * calls.length };
  return calls.map((_, i) => readU64(reply, 8 * i));
}

function* callThere(asker: Asker, target: Address, list: readonly Argument[]): Orders<number> {
  const words: number[] = [];
  const lent: { at: Address; argument: Argument }[] = [];
  for (const argument of list) {
    if (typeof argument === "number") {
      words.push(argument);
      continue;
    }
    const bytes = typeof argument === "string" ? Buffer.from(`${argument}\0`) : argument;
    const at = yield* store(asker, bytes);
    lent.push({ at, argument });
    words.push(at);
  }
  const result = yield* callOne(target, words);
  for (const { at, argument } of lent) {
    if (argument instanceof Uint8Array) {
      const view = yield { bytes: order("fetch", 0, [at, argument.length]), reply: argument.length };
      argument.set(new Uint8Array(view.buffer, view.byteOffset, argument.length));
    }
    yield* callOne(asker.free, [at]);
  }
  return result;
}

/** Puts bytes into memory that the asker's malloc gives. */
export function* store(asker: Asker, bytes: Uint8Array): Orders<Address> {
  const at = toAddress(yield* callOne(asker.malloc, [bytes.length]));
  yield { bytes: order("store", 0, [at, bytes.length], bytes), reply: 0 };
  return at;
}
