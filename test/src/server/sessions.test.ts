// A pass as commands: what stands in the slot, and what becomes of what comes back. And which slots are freed for clients
// that have ended or left. The client is played here, from the raw words of the slot.

import { describe, expect, test } from "bun:test";
import { bytesAt, stringAt, viewAt } from "../../../lib/memory/live.ts";
import { type Address, toAddress } from "../../../lib/memory/numbers.ts";
import { Libc } from "../../../lib/process/libc.ts";
import { UnreadableError } from "../../../lib/process/other.ts";
import { CALLABLE, type Call, type Callable, call, type Linking } from "../../../lib/process/process.ts";
import { Channel } from "../../../src/agent/channel.ts";
import { COMMAND_LIMIT, CommandLayout, SCRATCH_SIZE, SlotLayout, State, What } from "../../../src/agent/protocol.ts";
import type { Slot } from "../../../src/agent/slot.ts";
import { Trace } from "../../../src/diagnostics/trace.ts";
import type { Functions } from "../../../src/passes/functions.ts";
import { byCommands, type Session, Sessions } from "../../../src/server/sessions.ts";

const libc = new Libc();

const functionAt = (name: string): Address => toAddress(0x1000 + 16 * (CALLABLE as readonly string[]).indexOf(name));
const functions = Object.fromEntries(CALLABLE.map((name) => [name, functionAt(name)])) as unknown as Functions;
const nameOf = (target: number): Callable => CALLABLE[(target - 0x1000) / 16] as Callable;

/** What a command calls, with its six words. */
type Called = readonly [name: Callable, ...words: bigint[]];

/** What the client does with a call: returns the result. */
type Callee = (...called: Called) => bigint | number;

/**
 * Leads a session to its end, as the server and the client would; returns the batches that were called, and its
 * result.
 */
function converse<Result>(slot: Slot, pass: Linking<Result>, callee: Callee) {
  const batches: Called[][] = [];
  const session = byCommands(slot, functions, pass);
  const words = viewAt(slot.at, 2 * SlotLayout.scratch);
  slot.change(State.free, State.asked);
  slot.request.channel = slot.channel.at;
  let step = session.next([]);
  while (!step.done) {
    expect(slot.command(step.value)).toBe(true);
    const batch: Called[] = [];
    for (let i = 0; i < words.getUint32(SlotLayout.count, true); i++) {
      const at = SlotLayout.commands + i * CommandLayout.size;
      const word = (index: number) => words.getBigUint64(at + 8 * index, true);
      expect(word(0)).toBe(BigInt(What.call));
      const called = [nameOf(Number(word(1))), ...[2, 3, 4, 5, 6, 7].map(word)] as unknown as Called;
      batch.push(called);
      words.setBigUint64(at + 16, BigInt(callee(...called)), true);
    }
    batches.push(batch);
    expect(slot.change(State.commanded, State.executed)).toBe(true);
    step = session.next(slot.results(batch.length));
  }
  slot.free();
  return { batches, result: step.value };
}

const freshSlot = (): Slot => Channel.make(libc).slots[3] as Slot;
const textAt = (word: bigint | undefined): string => stringAt(toAddress(Number(word)));
const sizes = (batches: readonly Called[][]): number[] => batches.map((batch) => batch.length);

/** Several calls, one behind the other. */
function* all(list: readonly Call[]): Linking<readonly number[]> {
  return yield list;
}

describe("byCommands()", () => {
  test("has six words for a call, those that are not given 0, negative ones with 64 bits", () => {
    const { batches, result } = converse(freshSlot(), call("dlmopen", -1, 2 ** 47, 1), () => 0x7000);
    expect(batches).toEqual([[["dlmopen", 0xffff_ffff_ffff_ffffn, 1n << 47n, 1n, 0n, 0n, 0n]]]);
    expect(result).toBe(0x7000);
  });

  test("lends strings, which lie in the slot", () => {
    const slot = freshSlot();
    const texts: string[] = [];
    function* pass(): Linking<number[]> {
      return [yield* call("dlopen", "libżółć.so", 2), yield* call("dlopen", "", 1)];
    }
    const { result } = converse(slot, pass(), (_, text = 0n) => {
      expect(Number(text)).toBeGreaterThanOrEqual(slot.at + SlotLayout.scratch);
      expect(Number(text)).toBeLessThan(slot.at + SlotLayout.scratch + SCRATCH_SIZE);
      texts.push(textAt(text));
      return texts.length;
    });
    expect(texts).toEqual(["libżółć.so", ""]);
    expect(result).toEqual([1, 2]);
  });

  test("lends buffers with what is in them, and the pass finds what was written", () => {
    const buffers = [Uint8Array.of(1, 2, 3), new Uint8Array(8)];
    const seen: number[][] = [];
    const pass = all(buffers.map((buffer) => ({ name: "dlinfo", arguments: [5, 2, buffer] })));
    converse(freshSlot(), pass, (_name, _handle, _request, at = 0n) => {
      const bytes = bytesAt(toAddress(Number(at)), seen.length === 0 ? 3 : 8);
      seen.push([...bytes]);
      bytes.fill(0x10 + seen.length);
      return 0;
    });
    expect(seen).toEqual([
      [1, 2, 3],
      [0, 0, 0, 0, 0, 0, 0, 0],
    ]);
    expect(buffers.map((buffer) => [...buffer])).toEqual([Array(3).fill(0x11), Array(8).fill(0x12)]);
  });

  test("aligns what is lent to words", () => {
    const pass = all([1, 2, 7, 8, 9].map((length) => ({ name: "dlinfo", arguments: [new Uint8Array(length)] })));
    const { batches } = converse(freshSlot(), pass, () => 0);
    for (const [, at = 1n] of batches.flat()) expect(at % 8n).toBe(0n);
    expect(new Set(batches.flat().map(([, at]) => at)).size).toBe(5);
  });

  test("gives calls that can be made one behind the other at once, as many as there is room for", () => {
    const list: Call[] = Array.from({ length: 2 * COMMAND_LIMIT + 1 }, (_, i) => ({ name: "dlclose", arguments: [i] }));
    const { batches, result } = converse(freshSlot(), all(list), (_, handle) => Number(handle) * 3);
    expect(sizes(batches)).toEqual([COMMAND_LIMIT, COMMAND_LIMIT, 1]);
    expect(result).toEqual(list.map((_, i) => i * 3));
  });

  test("splits what it lends, too, where that is more than there is room for", () => {
    const path = (i: number): string => `/${i}/`.padEnd(SCRATCH_SIZE / 2 - 1, "x");
    const list: Call[] = [0, 1, 2, 3, 4].map((i) => ({ name: "dlopen", arguments: [path(i), 1] }));
    const texts: string[] = [];
    const { batches, result } = converse(freshSlot(), all(list), (_, text) => texts.push(textAt(text)));
    expect(sizes(batches)).toEqual([2, 2, 1]);
    expect(texts).toEqual([0, 1, 2, 3, 4].map(path));
    expect(result).toEqual([1, 2, 3, 4, 5]);
  });

  test("leaves alone a buffer whose call has not been made yet, but what an earlier one did", () => {
    const buffer = new Uint8Array(8);
    const large = "x".repeat(SCRATCH_SIZE - 16);
    const list: Call[] = [
      { name: "dlinfo", arguments: [1, 0, buffer] },
      { name: "dladdr", arguments: [buffer, large] },
    ];
    const seen: number[] = [];
    const { batches } = converse(freshSlot(), all(list), (name, first = 0n, _, third = 0n) => {
      const bytes = bytesAt(toAddress(Number(name === "dlinfo" ? third : first)), 8);
      seen.push(bytes[0] ?? 0);
      bytes.fill(seen.length);
      return 0;
    });
    expect(sizes(batches)).toEqual([1, 1]);
    expect(seen).toEqual([0, 1]);
    expect([...buffer]).toEqual(Array(8).fill(2));
  });

  test("has room for the longest path that there is, and an error for what is longer", () => {
    const longest = "p".repeat(4095);
    expect(converse(freshSlot(), call("dlopen", longest, 1), (_, text) => textAt(text).length).result).toBe(4095);
    expect(() => converse(freshSlot(), call("dlopen", `${longest}p`, 1), () => 0)).toThrow(
      'Cannot call "dlopen": its arguments are too long',
    );
  });

  test("makes no command where there is nothing to call", () => {
    const never: Callee = () => {
      throw new Error("It is called");
    };
    expect(converse(freshSlot(), all([]), never)).toEqual({ batches: [], result: [] });
  });

  test("lets an error of the pass out", () => {
    function* pass(): Linking<void> {
      yield* call("dlerror");
      throw new Error("Cannot go on");
    }
    expect(() => converse(freshSlot(), pass(), () => 0)).toThrow("Cannot go on");
  });
});

/** Writes a slot's state as the agent of that process does. */
function hold(slot: Slot, pid: number, state: number): void {
  viewAt(slot.at, 4).setUint32(SlotLayout.state, state === State.claimed ? state + 8 * pid : state, true);
  if (state !== State.claimed) slot.request.pid = pid;
}

const sessionsOf = (answer: (slot: Slot) => Session) =>
  new Sessions({ trace: new Trace([]), answer, functionsOf: () => undefined });

const unasked = sessionsOf(() => {
  throw new Error("It is answered");
});

describe("sweep()", () => {
  const [FIRST, SECOND] = [4_000_001, 4_000_002];
  const nobody = () => false;

  test("frees the slots of processes that have died, in whatever state, and only theirs", () => {
    const held = [State.claimed, State.asked, State.commanded, State.executed, State.left];
    const slots = Channel.make(libc).slots.slice(0, 2 * held.length);
    for (const [i, slot] of slots.entries())
      hold(slot, i < held.length ? FIRST : SECOND, held[i % held.length] ?? State.free);
    expect(unasked.sweep(slots, (pid) => pid === SECOND, nobody)).toBe(true);
    expect(slots.map(({ state }) => state)).toEqual([0, 0, 0, 0, 0, 1, 2, 3, 4, 5]);
    expect(unasked.sweep(slots, nobody, (pid) => pid === SECOND)).toBe(false);
    expect(slots.map(({ state }) => state)).toEqual([0, 0, 0, 0, 0, 1, 2, 3, 4, 5]);
    expect(unasked.sweep(slots, nobody, nobody)).toBe(false);
    expect(slots.every(({ state }) => state === State.free)).toBe(true);
  });

  // Two children, the second one forked when the first has ended, while the server was about to sleep.
  for (const state of ["claimed", "commanded"] as const)
    test(`leaves a slot to a process that has taken it since; the one that died had ${state}`, () => {
      const slot = freshSlot();
      hold(slot, FIRST, State[state]);
      const isAlive = (pid: number) => {
        hold(slot, SECOND, State.asked);
        return pid === SECOND;
      };
      expect(unasked.sweep([slot], isAlive, nobody)).toBe(true);
      expect([slot.state, slot.request.pid]).toEqual([State.asked, SECOND]);
    });
});

/** The commands in a slot: what each is, its target and its first arguments. */
function commandsIn(slot: Slot): [what: number, target: number, ...words: number[]][] {
  const words = viewAt(slot.at, SlotLayout.scratch);
  return Array.from({ length: slot.commandCount }, (_, i) => {
    const at = SlotLayout.commands + i * CommandLayout.size;
    return [0, 1, 2, 3, 4].map((index) => Number(words.getBigUint64(at + 8 * index, true))) as [number, number];
  });
}

/** The client has executed its commands, with these results. */
function execute(slot: Slot, ...results: number[]): void {
  const words = viewAt(slot.at, SlotLayout.scratch);
  for (const [i, result] of results.entries())
    words.setBigUint64(SlotLayout.commands + i * CommandLayout.size + 16, BigInt(result), true);
  expect(slot.change(State.commanded, State.executed)).toBe(true);
}

describe("advance()", () => {
  const called = (target: number) => ({ what: "call", target: toAddress(target), arguments: [] }) as const;
  const targetsIn = (slot: Slot) => commandsIn(slot).map(([, target]) => target);

  test("leads a session from its request over the results of its commands to its end", () => {
    const results: (readonly bigint[])[] = [];
    const sessions = sessionsOf(function* (): Session {
      results.push(yield [called(0x10)]);
      results.push(yield [called(0x20), called(0x30)]);
      return { what: "return", arguments: [7] };
    });
    const slot = freshSlot();
    hold(slot, 1, State.asked);
    sessions.advance(slot);
    expect([targetsIn(slot), sessions.isAmid]).toEqual([[0x10], true]);
    execute(slot, 1);
    sessions.advance(slot);
    expect([targetsIn(slot), sessions.isAmid]).toEqual([[0x20, 0x30], true]);
    execute(slot, 2, 3);
    sessions.advance(slot);
    expect(commandsIn(slot)).toEqual([[What.return, 0, 7, 0, 0]]);
    expect([sessions.isAmid, results]).toEqual([false, [[1n], [2n, 3n]]]);
  });

  test("begins anew for a request in a slot whose last session has not ended", () => {
    let count = 0;
    const received: (readonly bigint[])[] = [];
    const sessions = sessionsOf(function* (): Session {
      received.push(yield [called(++count)]);
      return { what: "return", arguments: [0] };
    });
    const slot = freshSlot();
    for (const target of [1, 2]) {
      hold(slot, target, State.asked);
      sessions.advance(slot);
      expect(targetsIn(slot)).toEqual([target]);
    }
    expect(received).toEqual([]);
  });

  test.each<[string, end: (sessions: Sessions, slot: Slot) => void]>([
    ["whose process is gone", (sessions, slot) => expect(sessions.reclaim(slot, () => true)).toBe(true)],
    ["that its client has left", (sessions, slot) => sessions.forget(slot)],
  ])("forgets the session of a slot %s, and of no other", (_, end) => {
    const sessions = sessionsOf(function* (): Session {
      yield [called(0x10)];
      return { what: "return", arguments: [0] };
    });
    const [first, second] = Channel.make(libc).slots as [Slot, Slot];
    for (const slot of [first, second]) {
      hold(slot, 1, State.asked);
      sessions.advance(slot);
    }
    expect(sessions.reclaim(first, () => false)).toBe(false);
    end(sessions, first);
    expect([first.state, second.state, sessions.isAmid]).toEqual([State.free, State.commanded, true]);
    end(sessions, second);
    expect(sessions.isAmid).toBe(false);
  });

  const writing: Functions = { ...functions, write: toAddress(0x99) };
  test.each<[string, error: unknown, known: Functions | undefined, said: string | undefined]>([
    ["of ours is told by the client", new Error("Oh\nno"), writing, "capsule: Error: Oh"],
    [
      "of any length is told as far as there is room",
      new Error("ż".repeat(SCRATCH_SIZE)),
      writing,
      "capsule: Error: żż",
    ],
    ["that is none, too", "no", writing, "capsule: no\n"],
    ["of ours is told by nobody, if no function is known", new Error("no"), undefined, undefined],
    ["of the client's memory is not told", new UnreadableError("no"), writing, undefined],
  ])("an error %s, and the client does without us", (_, error, known, said) => {
    const sessions = new Sessions({
      trace: new Trace([]),
      // biome-ignore lint/correctness/useYield: it fails at its first word
      *answer(): Session {
        throw error;
      },
      functionsOf: () => known,
    });
    const slot = freshSlot();
    hold(slot, 1, State.asked);
    slot.request.channel = slot.channel.at;
    sessions.advance(slot);
    const commands = commandsIn(slot);
    expect(commands.map(([what]) => what)).toEqual(said === undefined ? [What.fail] : [What.call, What.fail]);
    expect(sessions.isAmid).toBe(false);
    if (said === undefined) return;
    const [[, target, descriptor, text = 0, length] = []] = commands;
    expect([target, descriptor]).toEqual([0x99, 2]);
    expect(text).toBeGreaterThan(slot.at);
    const line = new TextDecoder().decode(bytesAt(toAddress(text), length ?? 0));
    expect(line).toStartWith(said);
    expect(line).toEndWith("\n");
  });
  test("leaves its slot to a client that is stopped while it executes a command", () => {
    const slot = freshSlot();
    const sessions = sessionsOf(() => {
      // As for memory that it was to carry.
      slot.command([{ what: "call", target: toAddress(0x1000), arguments: [] }]);
      throw new UnreadableError("Nobody carries it");
    });
    hold(slot, 1, State.asked);
    sessions.advance(slot);
    expect(slot.state).toBe(State.commanded);
  });

  test("frees the slot of a client that has left meanwhile", () => {
    const slot = freshSlot();
    const sessions = sessionsOf(function* (): Session {
      slot.change(State.asked, State.left);
      yield [];
      return { what: "return", arguments: [0] };
    });
    hold(slot, 1, State.asked);
    sessions.advance(slot);
    expect(slot.state).toBe(State.free);
  });
});
