// A server that does what a test says: each connection is a conversation that the test leads.

import { rmSync } from "node:fs";
import type { Socket } from "bun";
import { order } from "../../../src/agent/conversation.ts";
import { Request } from "../../../src/agent/protocol.ts";

/** The server's end of one connection. */
export class Talk {
  #received = new Uint8Array(0);
  #isOver = false;
  #unsent: Uint8Array[] = [];
  #wake = Promise.withResolvers<void>();

  constructor(readonly socket: Socket<Talk>) {}

  receive(bytes: Uint8Array): void {
    this.#received = new Uint8Array(Buffer.concat([this.#received, bytes]));
    this.#signal();
  }

  over(): void {
    this.#isOver = true;
    this.#signal();
  }

  drain(): void {
    const waiting = this.#unsent;
    this.#unsent = [];
    for (const bytes of waiting) this.write(bytes);
  }

  #signal(): void {
    this.#wake.resolve();
    this.#wake = Promise.withResolvers();
  }

  /** Waits for exactly so many bytes. Throws where the connection ends before. */
  async read(length: number): Promise<DataView> {
    while (this.#received.length < length) {
      if (this.#isOver) throw new Error(`It hung up after ${this.#received.length} of ${length} bytes`);
      await this.#wake.promise;
    }
    const bytes = this.#received.slice(0, length);
    this.#received = this.#received.slice(length);
    return new DataView(bytes.buffer);
  }

  /** One word. */
  async word(): Promise<bigint> {
    return (await this.read(8)).getBigUint64(0, true);
  }

  async request(): Promise<ReturnType<typeof Request.at>> {
    return Request.at(await this.read(Request.size));
  }

  write(bytes: Uint8Array): void {
    if (this.#unsent.length > 0) {
      this.#unsent.push(bytes);
      return;
    }
    const sent = this.socket.write(bytes);
    if (sent < bytes.length) this.#unsent.push(bytes.subarray(sent));
  }

  order(...list: Parameters<typeof order>): void {
    this.write(order(...list));
  }

  /** Waits until the other side has hung up; returns what it has sent meanwhile. */
  async rest(): Promise<Uint8Array> {
    while (!this.#isOver) await this.#wake.promise;
    return this.#received;
  }
}

export class ScriptedServer implements Disposable {
  readonly #listener: { stop(closeActive?: boolean): void };
  readonly #talks: Promise<unknown>[] = [];
  readonly #kept: unknown[] = [];

  /** `script` is called once a connection, which `number` counts from 0. */
  constructor(
    readonly path: string,
    script: (talk: Talk, number: number) => Promise<void>,
  ) {
    this.#listener = Bun.listen<Talk>({
      unix: path,
      socket: {
        open: (socket) => {
          socket.data = new Talk(socket);
          this.#kept.push(socket);
          this.#talks.push(script(socket.data, this.#talks.length));
        },
        data: ({ data: talk }, bytes) => talk.receive(bytes),
        drain: ({ data: talk }) => talk.drain(),
        close: ({ data: talk }) => talk.over(),
        error: ({ data: talk }) => talk.over(),
      },
    });
  }

  get connections(): number {
    return this.#talks.length;
  }

  /** Waits for the scripts, whose errors it throws. */
  async done(): Promise<void> {
    await Promise.all(this.#talks);
  }

  [Symbol.dispose](): void {
    this.#listener.stop(true);
    rmSync(this.path, { force: true });
  }
}
