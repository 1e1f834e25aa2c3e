// A pass as orders: what is sent, and what becomes of what comes back.

import { describe, expect, test } from "bun:test";
import { readU64 } from "../../../lib/memory/layout.ts";
import { addressOf } from "../../../lib/memory/live.ts";
import { type Address, toAddress } from "../../../lib/memory/numbers.ts";
import { CALLABLE, type Call, call, type Linking, type Process } from "../../../lib/process/process.ts";
import { type Asker, order, orders, store } from "../../../src/agent/conversation.ts";
import { Order, Request, What } from "../../../src/agent/protocol.ts";

const functionAt = (name: string): Address => toAddress(0x1000 + 16 * (CALLABLE as readonly string[]).indexOf(name));
const [MALLOC, FREE, INTERNED] = [0x8000, 0x9000, 0xa000].map(toAddress) as [Address, Address, Address];

function asker(isOwn: boolean): Asker & { readonly interned: string[] } {
  const interned: string[] = [];
  const functions = Object.fromEntries(CALLABLE.map((name) => [name, functionAt(name)]));
  return {
    interned,
    process: {} as Process,
    functions: functions as unknown as Asker["functions"],
    isOwn,
    intern: (text) => {
      interned.push(text);
      return toAddress(INTERNED + interned.length);
    },
    malloc: MALLOC,
    free: FREE,
  };
}

/** What is in the orders of one message: what, target, the arguments that are not zero, and bytes behind a STORE. */
function readOrders(bytes: Uint8Array): unknown[][] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const list: unknown[][] = [];
  for (let at = 0; at < bytes.length; ) {
    const { what, target, a0, a1, a2, a3, a4, a5 } = Order.at(view, at);
    at += Order.size;
    const name = Object.entries(What).find(([, value]) => value === what)?.[0];
    const args = [a0, a1, a2, a3, a4, a5].map(Number);
    while (args.at(-1) === 0) args.pop();
    const payload = what === What.store ? bytes.slice(at, at + Number(a1)) : undefined;
    at += payload?.length ?? 0;
    list.push([name, target, ...args, ...(payload ? [new TextDecoder().decode(payload)] : [])]);
  }
  return list;
}

const words = (...values: (number | bigint)[]): DataView => new DataView(BigUint64Array.from(values, BigInt).buffer);

/** Feeds a conversation replies; returns the messages and its result. */
function converse<Result>(
  conversation: Generator<{ bytes: Uint8Array; reply: number }, Result, DataView>,
  replies: DataView[],
) {
  const messages: unknown[][][] = [];
  let step = conversation.next(words());
  while (!step.done) {
    messages.push(readOrders(step.value.bytes));
    const reply = step.value.reply === 0 ? words() : replies.shift();
    if (!reply) throw new Error("More is waited for than there is");
    expect(reply.byteLength).toBe(step.value.reply);
    step = conversation.next(reply);
  }
  expect(replies).toHaveLength(0);
  return { messages, result: step.value };
}

test("the protocol's messages have the sizes that the agent knows", () => {
  expect([Request.size, Order.size]).toEqual([88, 64]);
});

describe("order()", () => {
  test("has six arguments of 64 bits, those that are not given 0", () => {
    const bytes = order("call", 0x7f12_3456_789a, [1, -1n, 2 ** 47]);
    expect(bytes).toHaveLength(Order.size);
    const view = new DataView(bytes.buffer);
    expect(readU64(view, 0)).toBe(What.call);
    expect(readU64(view, 8)).toBe(0x7f12_3456_789a);
    expect([16, 24, 32, 40].map((at) => view.getBigUint64(at, true))).toEqual([
      1n,
      0xffff_ffff_ffff_ffffn,
      1n << 47n,
      0n,
    ]);
  });

  test("takes bytes along", () => {
    expect(readOrders(order("store", 0, [0x5000, 3], Uint8Array.of(97, 98, 99)))).toEqual([
      ["store", 0, 0x5000, 3, "abc"],
    ]);
  });
});

describe("in the asker's own memory", () => {
  test("strings and buffers are given where they are", () => {
    const own = asker(true);
    const buffer = new Uint8Array(8);
    function* pass(): Linking<number[]> {
      return [yield* call("dlopen", "libred.so", 1), yield* call("dlinfo", 5, 2, buffer)];
    }
    const { messages, result } = converse(orders(own, pass()), [words(0x7000), words(0)]);
    expect(own.interned).toEqual(["libred.so"]);
    expect(messages).toEqual([
      [["call", functionAt("dlopen"), INTERNED + 1, 1]],
      [["call", functionAt("dlinfo"), 5, 2, addressOf(buffer)]],
    ]);
    expect(result).toEqual([0x7000, 0]);
  });

  test("calls that can be made one behind the other go in one message", () => {
    function* pass(): Linking<readonly number[]> {
      const list: Call[] = [1, 2, 3].map((handle) => ({ name: "dlclose", arguments: [handle] }));
      return yield list;
    }
    const { messages, result } = converse(orders(asker(true), pass()), [words(0, 7, 0xffff_ffffn)]);
    expect(messages).toEqual([[1, 2, 3].map((handle) => ["call", functionAt("dlclose"), handle])]);
    expect(result).toEqual([0, 7, 0xffff_ffff]);
  });

  test("negative numbers arrive as 64 bits", () => {
    function* pass(): Linking<number> {
      return yield* call("dlmopen", -1, 0, 1);
    }
    const conversation = orders(asker(true), pass());
    const { value } = conversation.next();
    if (typeof value !== "object") throw new Error("It asks for nothing");
    const { a0 } = Order.at(new DataView(value.bytes.buffer));
    expect(a0).toBe(0xffff_ffff_ffff_ffffn);
  });
});

describe("in a forked child's memory", () => {
  test("strings are stored first and freed behind the call", () => {
    function* pass(): Linking<number> {
      return yield* call("dlopen", "libżółć.so", 2);
    }
    const { messages, result } = converse(orders(asker(false), pass()), [words(0x5000), words(0x7000), words(0)]);
    const size = new TextEncoder().encode("libżółć.so\0").length;
    expect(messages).toEqual([
      [["call", MALLOC, size]],
      [["store", 0, 0x5000, size, "libżółć.so\0"]],
      [["call", functionAt("dlopen"), 0x5000, 2]],
      [["call", FREE, 0x5000]],
    ]);
    expect(result).toBe(0x7000);
  });

  test("buffers are stored, fetched and freed, and the pass finds what was written", () => {
    const buffer = new Uint8Array(8);
    function* pass(): Linking<number> {
      return yield* call("dlinfo", 5, 2, buffer);
    }
    const replies = [words(0x5000), words(0), words(0x1122_3344_5566n), words(0)];
    const { messages } = converse(orders(asker(false), pass()), replies);
    expect(messages.map(([first]) => first?.[0])).toEqual(["call", "store", "call", "fetch", "call"]);
    expect(new DataView(buffer.buffer).getBigUint64(0, true)).toBe(0x1122_3344_5566n);
  });

  test("several calls are made one by one", () => {
    function* pass(): Linking<readonly number[]> {
      return yield [1, 2].map((handle) => ({ name: "dlclose" as const, arguments: [handle] }));
    }
    const { messages, result } = converse(orders(asker(false), pass()), [words(3), words(4)]);
    expect(messages).toEqual([[["call", functionAt("dlclose"), 1]], [["call", functionAt("dlclose"), 2]]]);
    expect(result).toEqual([3, 4]);
  });
});

test("an error of the pass comes out of the conversation", () => {
  function* pass(): Linking<void> {
    yield* call("dlerror");
    throw new Error("Cannot go on");
  }
  expect(() => converse(orders(asker(true), pass()), [words(0)])).toThrow("Cannot go on");
});

test("store() tells where it has put the bytes", () => {
  const { messages, result } = converse(store(asker(false), Uint8Array.of(104, 105)), [words(0x6000)]);
  expect(messages).toEqual([[["call", MALLOC, 2]], [["store", 0, 0x6000, 2, "hi"]]]);
  expect(result).toBe(toAddress(0x6000));
});
