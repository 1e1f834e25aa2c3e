// Memory of a client that the client itself carries, piece by piece. The client is played here.

import { describe, expect, test } from "bun:test";
import { bytesAt } from "../../../lib/memory/live.ts";
import { toAddress } from "../../../lib/memory/numbers.ts";
import { Libc } from "../../../lib/process/libc.ts";
import { UnreadableError } from "../../../lib/process/other.ts";
import { Channel } from "../../../src/agent/channel.ts";
import { SCRATCH_SIZE, SlotLayout, State } from "../../../src/agent/protocol.ts";
import { type Command, Slot } from "../../../src/agent/slot.ts";

const libc = new Libc();
const COPY = toAddress(0x1230);
/** More than pid_max can be. */
const NOBODY = 4_200_000;

/** A slot whose client executes commands as soon as it has them; how long each copy was is in `pieces`. */
class PlayedSlot extends Slot {
  readonly pieces: number[] = [];
  /** What the client does with commands. */
  play: (commands: readonly Command[]) => void = this.copy;

  override command(commands: readonly Command[]): boolean {
    if (!super.command(commands)) return false;
    this.play(commands);
    return true;
  }

  copy([command]: readonly Command[]): void {
    expect(command).toMatchObject({ what: "call", target: COPY });
    const [to = 0, from = 0, length = 0] = command?.arguments.map(Number) ?? [];
    bytesAt(toAddress(to), length).set(bytesAt(toAddress(from), length));
    this.pieces.push(length);
    expect(this.change(State.commanded, State.executed)).toBe(true);
  }
}

function askedSlot(): PlayedSlot {
  const channel = Channel.make(libc);
  const slot = new PlayedSlot(libc, channel, 3);
  slot.request.channel = channel.at;
  slot.request.pid = NOBODY;
  slot.change(State.free, State.asked);
  return slot;
}

const patterned = (length: number) => Uint8Array.from({ length }, (_, i) => (i * 7 + (i >> 8)) & 0xff);
const memory = libc.pages.allocate(4 * SCRATCH_SIZE, false);

describe("transport()", () => {
  test.each([
    ["nothing", 0, []],
    ["a byte", 1, [1]],
    ["as much as there is room for", SCRATCH_SIZE, [SCRATCH_SIZE]],
    ["a byte more", SCRATCH_SIZE + 1, [SCRATCH_SIZE, 1]],
    ["several pieces", 2 * SCRATCH_SIZE + 5, [SCRATCH_SIZE, SCRATCH_SIZE, 5]],
  ])("reads and writes %s", (_, length, pieces) => {
    const there = bytesAt(memory, 4 * SCRATCH_SIZE);
    const bytes = patterned(length);
    const [writing, reading] = [askedSlot(), askedSlot()];
    there.fill(0xee);
    writing.transport("write", COPY, memory, bytes);
    expect(Buffer.compare(there.subarray(0, length), bytes)).toBe(0);
    expect(there[length]).toBe(0xee);
    const read = new Uint8Array(length);
    reading.transport("read", COPY, memory, read);
    expect(Buffer.compare(read, bytes)).toBe(0);
    expect([writing.pieces, reading.pieces]).toEqual([pieces, pieces]);
  });

  test("leaves alone what is lent", () => {
    const slot = askedSlot();
    const lent = slot.lend(patterned(24));
    const read = new Uint8Array(SCRATCH_SIZE);
    slot.transport("read", COPY, memory, read);
    expect(slot.pieces).toEqual([SCRATCH_SIZE - 24, 24]);
    expect(lent?.bytes).toEqual(patterned(24));
  });

  test.each<[string, (slot: PlayedSlot) => void]>([
    ["waits no longer", (slot) => slot.free()],
    [
      "is gone",
      (slot) => {
        slot.play = () => {};
      },
    ],
    [
      "leaves",
      (slot) => {
        slot.play = () => void slot.change(State.commanded, State.left);
      },
    ],
  ])("throws if its client %s", (_, end) => {
    const slot = askedSlot();
    end(slot);
    const read = () => slot.transport("read", COPY, memory, new Uint8Array(8));
    const started = performance.now();
    expect(read).toThrow(UnreadableError);
    // A client that only does nothing is given two seconds.
    expect(performance.now() - started).toBeLessThan(1500);
    expect(read).toThrow("nobody carries them");
  });
});

test("what is lent lies behind one another, in words, until there are commands", () => {
  const slot = askedSlot();
  const lent = [3, 8, 1].map((length) => (slot.lend(new Uint8Array(length))?.at ?? 0) - slot.at - SlotLayout.scratch);
  expect(lent).toEqual([0, 8, 16]);
  expect(slot.lend(new Uint8Array(SCRATCH_SIZE - 24))).toBeDefined();
  expect(slot.lend(new Uint8Array(1))).toBeUndefined();
  slot.play = () => {};
  slot.command([]);
  expect(slot.lend(new Uint8Array(SCRATCH_SIZE))).toBeDefined();
});
