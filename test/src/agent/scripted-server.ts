// A server that does what a test says: each request is a session that the test leads. The pages are a file, which
// the process of the tests has mapped at the same address as the caller.

import { truncateSync, writeFileSync } from "node:fs";
import type { Struct } from "../../../lib/memory/layout.ts";
import { addressOf, bytesAt, cString } from "../../../lib/memory/live.ts";
import type { Address } from "../../../lib/memory/numbers.ts";
import { Libc } from "../../../lib/process/libc.ts";
import { Channel } from "../../../src/agent/channel.ts";
import {
  CHANNEL_SIZE,
  Header,
  type Request,
  SLOT_SIZE,
  SLOTS,
  SlotLayout,
  State,
} from "../../../src/agent/protocol.ts";
import type { Command, Slot } from "../../../src/agent/slot.ts";
import type { Pages } from "./caller.ts";

const libc = new Libc();
/** Lets other things of this process happen. */
const turn = (): Promise<unknown> => new Promise(setImmediate);

/** The server's end of one request. */
export class Talk {
  /** Its slot may have the next request already. */
  isAnswered = false;

  constructor(
    readonly server: ScriptedServer,
    readonly slot: Slot,
  ) {}

  get request(): Struct<typeof Request> {
    return this.slot.request;
  }

  /** Waits until the slot has one of these states. Throws where the caller ends before. */
  async until(...states: number[]): Promise<void> {
    await this.server.until(
      () => states.includes(this.slot.state),
      () => `slot ${this.slot.index} was in state ${this.slot.state}`,
    );
  }

  /** Gives commands. Throws where nobody waits for them. */
  command(...instructions: Command[]): void {
    this.isAnswered = true;
    if (!this.slot.command(instructions)) throw new Error("It has left");
  }

  /** Gives commands that do not end the session; returns what came of them. */
  async results(...instructions: Command[]): Promise<bigint[]> {
    this.command(...instructions);
    await this.until(State.executed);
    return this.slot.results(instructions.length);
  }

  /** Takes the slot away. */
  free(): void {
    this.isAnswered = true;
    this.slot.free();
  }

  /** Lends a C string. */
  lend(text: string): Address {
    const lent = this.slot.lend(cString(text));
    if (lent === undefined) throw new Error("There is no room");
    return lent.at;
  }

  /** So many bytes of what was lent there, as they are now. */
  returned(at: Address, length: number): string {
    return new TextDecoder().decode(bytesAt(at, length));
  }

  /** RETURN. */
  answer(value: number): void {
    this.command({ what: "return", arguments: [value] });
  }

  /** A command of raw words, whatever they mean. */
  commandWords(what: number, target: number, words: readonly bigint[]): void {
    this.isAnswered = true;
    const at = SLOTS + this.slot.index * SLOT_SIZE;
    const { view } = this.server;
    [BigInt(what), BigInt(target), ...words].forEach((word, i) => {
      view.setBigUint64(at + SlotLayout.commands + 8 * i, BigInt.asUintN(64, word), true);
    });
    view.setUint32(at + SlotLayout.count, 1, true);
    this.slot.change(this.slot.state, State.commanded);
    libc.futexes.wake(this.slot.at);
  }
}

export class ScriptedServer {
  readonly channel: Channel;
  readonly pages: Pages;
  /** Of all pages. It is unmapped when this is collected. */
  readonly view: DataView;
  #isOver = false;
  /**
   * The pages of all servers: views of them by address do not keep them, and a test may look when its server is gone.
   */
  static readonly #mapped: Uint8Array[] = [];
  /** How many requests there were. */
  requests = 0;

  constructor(file: string) {
    writeFileSync(file, "");
    truncateSync(file, CHANNEL_SIZE);
    const bytes = Bun.mmap(file, { shared: true });
    ScriptedServer.#mapped.push(bytes);
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const at = addressOf(bytes);
    this.pages = { file, at };
    this.channel = new Channel(libc, at);
    this.channel.open();
  }

  get slots(): readonly Slot[] {
    return this.channel.slots;
  }

  /** Which states the slots have, in words, each once. */
  get states(): Set<string> {
    const names = Object.keys(State);
    return new Set(this.slots.map(({ state }) => names[state] ?? `${state}`));
  }

  /** Whether a client has said that it has been waiting for long. */
  get isSlow(): boolean {
    return this.view.getUint32(Header.offsetOf.isSlow, true) === 1;
  }

  /** Says that another thread answers. */
  pretend(pid: number, tid: number): void {
    this.view.setUint32(Header.offsetOf.pid, pid, true);
    this.view.setUint32(Header.offsetOf.tid, tid, true);
  }

  /**
   * Leads sessions, numbered from 0, until `caller` has come to its end, which it returns. Throws what a script
   * throws.
   */
  async serve<Result>(
    caller: Promise<Result>,
    script: (talk: Talk, number: number) => Promise<void> | void,
  ): Promise<Result> {
    this.#isOver = false;
    const end = caller.finally(() => {
      this.#isOver = true;
    });
    const failure = Promise.withResolvers<never>();
    const talks = new Map<Slot, Promise<void>>();
    const lead = async (slot: Slot): Promise<void> => {
      try {
        const talk = new Talk(this, slot);
        await script(talk, this.requests++);
        while (!talk.isAnswered && slot.state === State.asked && !this.#isOver) await turn();
      } catch (error) {
        failure.reject(error);
      }
      talks.delete(slot);
    };
    const answer = async (): Promise<void> => {
      while (!this.#isOver) {
        for (const slot of this.slots) if (slot.state === State.asked && !talks.has(slot)) talks.set(slot, lead(slot));
        await turn();
      }
      await Promise.all(talks.values());
    };
    const [result] = await Promise.race([Promise.all([end, answer()]), failure.promise]);
    return result;
  }

  /** Waits until something is so. Throws where the caller ends before. */
  async until(isSo: () => boolean, otherwise: () => string = () => "it was never so"): Promise<void> {
    while (!isSo()) {
      if (this.#isOver) throw new Error(`The caller has ended, and ${otherwise()}`);
      await turn();
    }
  }
}

/** CALL. */
export const call = (target: Address, ...list: number[]): Command => ({ what: "call", target, arguments: list });
