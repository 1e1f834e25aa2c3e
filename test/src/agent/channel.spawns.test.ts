// The server's side of the shared pages, as far as it needs nobody on the other one.

import { describe, expect, test } from "bun:test";
import { bytesAt, stringAt, viewAt } from "../../../lib/memory/live.ts";
import { add, PAGE_SIZE, toAddress } from "../../../lib/memory/numbers.ts";
import { Libc } from "../../../lib/process/libc.ts";
import { Channel } from "../../../src/agent/channel.ts";
import {
  ARENA,
  ARENA_SIZE,
  CHANNEL_SIZE,
  COMMAND_LIMIT,
  CommandLayout,
  Header,
  Kind,
  PENDING,
  Request,
  SCRATCH_SIZE,
  SLOT_COUNT,
  SLOT_SIZE,
  SLOTS,
  SlotLayout,
  State,
} from "../../../src/agent/protocol.ts";
import type { Slot } from "../../../src/agent/slot.ts";

const libc = new Libc();
const header = (channel: Channel, field: keyof typeof Header.offsetOf): number =>
  viewAt(add(channel.at, Header.offsetOf[field]), 4).getInt32(0, true);
/** One whose client is in this process. */
function slotOf(channel: Channel, index: number): Slot {
  const slot = channel.slots[index] as Slot;
  slot.request.channel = channel.at;
  return slot;
}

describe("the pages", () => {
  test("have the sizes that the agent knows", () => {
    expect([Header.size, Request.size, CommandLayout.size]).toEqual([68, 104, 64]);
  });

  test("have room for all that is in them, and one does not reach into another", () => {
    expect(Header.size).toBeLessThanOrEqual(PENDING);
    expect(PENDING + SLOT_COUNT).toBeLessThanOrEqual(SLOTS);
    expect(SlotLayout.count).toBeGreaterThanOrEqual(SlotLayout.state + 4);
    expect(SlotLayout.request).toBeGreaterThanOrEqual(SlotLayout.count + 4);
    expect(SlotLayout.commands).toBeGreaterThanOrEqual(SlotLayout.request + Request.size);
    expect(SlotLayout.scratch).toBeGreaterThanOrEqual(SlotLayout.commands + COMMAND_LIMIT * CommandLayout.size);
    expect(SlotLayout.scratch + SCRATCH_SIZE).toBe(SLOT_SIZE);
    expect(ARENA).toBe(SLOTS + SLOT_COUNT * SLOT_SIZE);
    expect(CHANNEL_SIZE).toBe(ARENA + ARENA_SIZE);
    for (const offset of [SLOTS, SLOT_SIZE, SlotLayout.scratch, ARENA, CHANNEL_SIZE])
      expect(offset % PAGE_SIZE).toBe(0);
  });

  test("are those of every process that comes from this one", () => {
    // "rw-s": a private mapping would be a copy in a child
    const { at } = Channel.make(libc);
    const maps = new TextDecoder().decode(Bun.spawnSync(["cat", `/proc/${process.pid}/maps`]).stdout);
    const line = maps.split("\n").find((each) => each.startsWith(`${at.toString(16)}-`));
    expect(line).toContain(" rw-s ");
  });
});

describe("a slot", () => {
  test("is for the server when it has been asked, has results, or has been left", () => {
    const slot = slotOf(Channel.make(libc), 0);
    const view = viewAt(slot.at, 4);
    const forServer = Object.entries(State).filter(([, state]) => {
      view.setUint32(0, state, true);
      return slot.isForServer;
    });
    expect(forServer.map(([name]) => name)).toEqual(["asked", "executed", "left"]);
  });

  test("changes its state only from the one that is meant", () => {
    const slot = slotOf(Channel.make(libc), 1);
    expect(slot.change(State.asked, State.left)).toBe(false);
    expect(slot.state).toBe(State.free);
    expect(slot.change(State.free, State.claimed)).toBe(true);
    expect(slot.state).toBe(State.claimed);
  });

  test("is its own: what is commanded in one is not seen in its neighbours", () => {
    const channel = Channel.make(libc);
    const [before, slot, after] = [3, 4, 5].map((index) => slotOf(channel, index)) as [Slot, Slot, Slot];
    slot.change(State.free, State.asked);
    expect(slot.lend(new Uint8Array(SCRATCH_SIZE).fill(0xff))?.at).toBe(add(slot.at, SlotLayout.scratch));
    const full = { what: "call", target: toAddress(0xffff), arguments: Array(6).fill(-1) } as const;
    expect(slot.command(Array(COMMAND_LIMIT).fill(full))).toBe(true);
    expect([slot.state, slot.commandCount]).toEqual([State.commanded, COMMAND_LIMIT]);
    for (const { at, request } of [before, after]) {
      request.channel = toAddress(0);
      expect(bytesAt(at, SLOT_SIZE).every((byte) => byte === 0)).toBe(true);
    }
    expect(bytesAt(add(slot.at, SlotLayout.scratch), SCRATCH_SIZE).every((byte) => byte === 0xff)).toBe(true);
  });

  test("gives no commands to a client that has left, and none twice", () => {
    const slot = slotOf(Channel.make(libc), 0);
    const command = { what: "return", arguments: [1] } as const;
    for (const state of [State.free, State.claimed, State.commanded, State.left]) {
      slot.change(slot.state, state);
      expect(slot.command([command])).toBe(false);
      expect(slot.state).toBe(state);
    }
  });

  test("lends as much as there is room for, and all of it again when commands have been given", () => {
    const slot = slotOf(Channel.make(libc), 0);
    slot.change(State.free, State.asked);
    const first = slot.lend(new Uint8Array(SCRATCH_SIZE - 8).fill(1));
    expect(first?.at).toBe(add(slot.at, SlotLayout.scratch));
    expect(slot.lend(new Uint8Array(9))).toBeUndefined();
    expect(slot.lend(new Uint8Array(8))?.at).toBe(add(slot.at, SLOT_SIZE - 8));
    expect(slot.lend(new Uint8Array(1))).toBeUndefined();
    expect(slot.command([])).toBe(true);
    expect(slot.lend(new Uint8Array(SCRATCH_SIZE))?.at).toBe(add(slot.at, SlotLayout.scratch));
    // nobody waits: what was lent is over all the same
    expect(slot.command([])).toBe(false);
    expect(slot.lend(new Uint8Array(SCRATCH_SIZE))?.at).toBe(add(slot.at, SlotLayout.scratch));
  });
});

describe("a channel", () => {
  test("says which thread answers, as long as it does", () => {
    const channel = Channel.make(libc);
    expect(header(channel, "isServed")).toBe(0);
    expect(channel.awaitServer(1)).toBe(false);
    channel.open();
    expect([header(channel, "isServed"), header(channel, "pid"), header(channel, "tid")]).toEqual([
      1,
      process.pid,
      libc.system.threadId,
    ]);
    expect(channel.awaitServer(0)).toBe(true);
    channel.close();
    expect(channel.awaitServer(1)).toBe(false);
  });

  test("does not sleep when the doorbell has been rung meanwhile, also beyond 31 bits", () => {
    const channel = Channel.make(libc);
    const set = (doorbell: number) => viewAt(channel.at, 4).setUint32(Header.offsetOf.doorbell, doorbell, true);
    for (const doorbell of [0, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff]) {
      set(doorbell);
      const before = channel.doorbell;
      set((doorbell + 1) % 2 ** 32);
      channel.awaitDoorbell(before); // else it would not come back
      expect(channel.doorbell).not.toBe(before);
    }
  });

  test("finds a slot that has been marked once, and again when it is marked again", () => {
    const channel = Channel.make(libc);
    const asked = () => channel.asked().map(({ index }) => index);
    expect(asked()).toEqual([]);
    channel.tell("first");
    channel.tell("second");
    expect(asked()).toEqual([0, 1]);
    // Whoever has been found is being answered.
    expect(asked()).toEqual([]);
    channel.tell("third");
    expect(asked()).toEqual([2]);
  });

  test("has one copy of each interned string, which stays", () => {
    const channel = Channel.make(libc);
    const [red, green, empty] = ["/lib/libred.so", "/lib/libżółć.so", ""].map((text) => channel.intern(text));
    expect(channel.intern("/lib/libred.so")).toBe(red as never);
    expect(new Set([red, green, empty]).size).toBe(3);
    expect([red, green, empty].map((at) => stringAt(at ?? toAddress(0)))).toEqual([
      "/lib/libred.so",
      "/lib/libżółć.so",
      "",
    ]);
    for (const at of [red, green, empty]) {
      expect(at).toBeGreaterThanOrEqual(channel.at + ARENA);
      expect(at).toBeLessThan(channel.at + CHANNEL_SIZE);
    }
  });

  test("interns to the last byte, and not beyond", () => {
    const channel = Channel.make(libc);
    const large = "x".repeat(ARENA_SIZE - 3);
    const at = channel.intern(large);
    expect(at).toBe(add(channel.at, ARENA));
    expect(channel.intern("ab")).toBeUndefined();
    expect(stringAt(channel.intern("a") ?? channel.at)).toBe("a");
    expect(channel.intern("")).toBeUndefined();
    // what is there is still there
    expect(channel.intern(large)).toBe(at);
    expect(channel.intern("a")).toBe(add(channel.at, CHANNEL_SIZE - 2));
  });
});

describe("tell()", () => {
  const told = (slot: Slot): string => {
    const { a0, a1 } = slot.request;
    return new TextDecoder().decode(bytesAt(toAddress(Number(a0)), Number(a1)));
  };

  test("hands over a text and rings the doorbell", () => {
    const channel = Channel.make(libc);
    const { doorbell } = channel;
    expect(channel.tell('{"text":"żółć"}')).toBe(true);
    const slot = slotOf(channel, 0);
    expect([slot.state, slot.request.kind]).toEqual([State.asked, Kind.state]);
    expect(told(slot)).toBe('{"text":"żółć"}');
    expect(channel.doorbell).not.toBe(doorbell);
  });

  test("takes a slot that is free, and says so where there is none", () => {
    const channel = Channel.make(libc);
    channel.slots.forEach((slot, i) => {
      if (i !== 9) slot.change(State.free, State.claimed);
    });
    expect(channel.tell("first")).toBe(true);
    expect(told(slotOf(channel, 9))).toBe("first");
    expect(channel.tell("second")).toBe(false);
  });

  test("can wait until it has been read, which nobody does here", () => {
    const channel = Channel.make(libc);
    expect(channel.tell("text", true)).toBe(false);
    expect(slotOf(channel, 0).state).toBe(State.asked);
  });

  /** A thread that answers as a script says, which has `channel`. */
  const answering = (channel: Channel, answer: string): Worker => {
    const script = `
      const { Libc } = await import(${JSON.stringify(Bun.resolveSync("../../../lib/process/libc.ts", import.meta.dir))});
      const { Channel } = await import(${JSON.stringify(Bun.resolveSync("../../../src/agent/channel.ts", import.meta.dir))});
      const channel = new Channel(new Libc(), ${channel.at});
      channel.open();
      ${answer}
    `;
    return new Worker(URL.createObjectURL(new Blob([script], { type: "application/javascript" })));
  };

  test("waits until it has been read by another thread, however long that takes", async () => {
    const channel = Channel.make(libc);
    const worker = answering(
      channel,
      `let asked;
      while (!(asked = channel.slots.find((slot) => slot.isForServer))) channel.awaitDoorbell(0);
      Bun.sleepSync(450); // longer than it takes to check whether this thread is there
      asked.free();
      postMessage("read");`,
    );
    const read = new Promise((resolve) => {
      worker.onmessage = ({ data }) => resolve(data);
    });
    expect(channel.awaitServer(10_000)).toBe(true);
    expect(header(channel, "tid")).not.toBe(libc.system.threadId);
    expect(channel.tell("text", true)).toBe(true);
    expect(await read).toBe("read");
    worker.terminate();
  });

  test("does not wait for a thread that has ended without a word", async () => {
    const channel = Channel.make(libc);
    const worker = answering(channel, "process.exit();");
    await new Promise((resolve) => worker.addEventListener("close", resolve));
    while (libc.signals.send(header(channel, "tid"), 0)) await new Promise(setImmediate);
    expect(header(channel, "isServed")).toBe(1);
    expect(channel.tell("text", true)).toBe(false);
  });
});
