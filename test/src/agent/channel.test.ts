// Several channels that one thread answers, with and without doorbells of their own.

import { describe, expect, test } from "bun:test";
import { bytesAt, viewAt } from "../../../lib/memory/live.ts";
import { add, toAddress } from "../../../lib/memory/numbers.ts";
import { Libc } from "../../../lib/process/libc.ts";
import { Channel, Channels } from "../../../src/agent/channel.ts";
import { Header, Kind, State, What } from "../../../src/agent/protocol.ts";

const libc = new Libc();
const header = (channel: Channel, field: keyof typeof Header.offsetOf): number =>
  viewAt(add(channel.at, Header.offsetOf[field]), 4).getInt32(0, true);

test("kinds of requests, commands and states are told apart", () => {
  for (const values of [Kind, What, State].map(Object.values)) expect(new Set(values).size).toBe(values.length);
});

/** Two with doorbells, and one that rings the first one's. */
function channels() {
  const [first, second] = [Channel.make(libc), Channel.make(libc)] as const;
  const third = Channel.make(libc, true, first);
  return { first, second, third, all: new Channels(libc, first, second, third) };
}

/** In milliseconds. */
function timeOf(wait: () => void): number {
  const start = performance.now();
  wait();
  return performance.now() - start;
}

describe("channels", () => {
  test("have the counts of their doorbells, each once", () => {
    const { first, second, third, all } = channels();
    const before = all.doorbells;
    expect([before, all.haveRung(before)]).toEqual([[0, 0], false]);
    second.tell("text");
    expect([all.doorbells, all.haveRung(before)]).toEqual([[0, 1], true]);
    third.tell("text");
    expect([all.doorbells, third.doorbell, header(third, "doorbell")]).toEqual([[1, 1], first.doorbell, 0]);
  });

  test("have the slots of all, and each that asks once", () => {
    const { third, all, first } = channels();
    for (const channel of [third, first]) channel.tell("text");
    expect(all.slots).toHaveLength(3 * first.slotCount);
    expect(all.asked()).toEqual([first.slot(0), third.slot(0)]);
    expect(all.asked()).toEqual([]);
  });

  test("are all answered, or none", () => {
    const { first, second, third, all } = channels();
    const served = () => [first, second, third].map((channel) => header(channel, "isServed"));
    all.open();
    expect(served()).toEqual([1, 1, 1]);
    expect([header(third, "pid"), header(third, "tid")]).toEqual([libc.pid, libc.system.threadId]);
    all.close();
    expect(served()).toEqual([0, 0, 0]);
  });

  const [SHORT, LONG] = [50, 10_000];
  const waits: [string, (all: Channels, before: readonly number[], milliseconds: number) => void][] = [
    ["spin", (all, ...rest) => all.spin(...rest)],
    ["sleep", (all, ...rest) => all.awaitDoorbell(...rest)],
  ];
  for (const [words, wait] of waits)
    test.skipIf(words === "sleep" && !libc.futexes.canSleepOnAny)(`${words} until one rings, or for a time`, () => {
      const { first, second, all } = channels();
      const before = all.doorbells;
      expect(timeOf(() => wait(all, before, SHORT))).toBeGreaterThanOrEqual(SHORT - 1);
      second.tell("text");
      expect(timeOf(() => wait(all, before, LONG))).toBeLessThan(LONG / 2);
      const alone = new Channels(libc, first);
      expect(timeOf(() => wait(alone, alone.doorbells, SHORT))).toBeGreaterThanOrEqual(SHORT - 1);
      expect(timeOf(() => wait(alone, [1], LONG))).toBeLessThan(LONG / 2);
    });
});

test("what the main thread tells is a request of this process, with its text", () => {
  const { first } = channels();
  expect(first.tell("what it is")).toBe(true);
  const [slot, ...more] = first.asked();
  const { pid, kind, a0, a1 } = slot?.request ?? expect.unreachable();
  expect([pid, kind, more.length]).toEqual([libc.pid, Kind.state, 0]);
  expect(new TextDecoder().decode(bytesAt(toAddress(Number(a0)), Number(a1)))).toBe("what it is");
});

test("clients see how many times they have been answered", () => {
  const { first } = channels();
  const [one, other] = [first.slot(0), first.slot(7)];
  for (const slot of [one, other, one]) {
    slot.change(slot.state, State.asked);
    expect(slot.command([{ what: "return", arguments: [0] }])).toBe(true);
  }
  // One that nobody waits for is none.
  expect(other.command([{ what: "return", arguments: [0] }])).toBe(false);
  expect(header(first, "answers")).toBe(3);
  expect(first.used).toEqual([one, other]);
});
