// The server of an attached program and of all that it starts: a process of its own,
// which nobody is the parent of. Its arguments: the serving directory and the program's
// process. It begins with the directory's bell as descriptor 3, and that process as 4.
//
// It sleeps until a byte comes or a process ends, and wakes up for nothing else; it
// never goes back to Bun's event loop. When nobody may ask any more, it removes the
// directory, and ends.

import { readSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { Libc } from "../../lib/loader/libc.ts";
import { bytesAt } from "../../lib/memory/live.ts";
import { add } from "../../lib/memory/numbers.ts";
import { System } from "../../lib/process/system.ts";
import { Watcher } from "../../lib/process/watcher.ts";
import { Channel } from "../agent/channel.ts";
import { Header, OUTSIDE_SLOT_COUNT, PENDING, State } from "../agent/protocol.ts";
import { removeStale } from "../private-directory.ts";
import { Trace } from "../trace.ts";
import { Answering } from "./answering.ts";
import { mapChannelFile } from "./channel-file.ts";
import { readLaunchFile } from "./launch-file.ts";
import { Lifetime } from "./lifetime.ts";
import { LIBRARIES } from "./serving-directory.ts";

const BELL = 3;
const PROGRAM = 4;
/** How long to look for another request before going to sleep, in milliseconds. */
const BRIEFLY = 0.05;

class Server {
  readonly libc = new Libc();
  readonly system = new System();
  readonly lifetime: Lifetime;
  readonly channel: Channel;
  readonly #watcher: Watcher;
  readonly #pending: Uint8Array;
  #answering?: Answering;
  #trace = new Trace([]);
  #isTidy = false;
  /** What can wait. */
  #idle: Generator<undefined> | undefined;

  constructor(
    readonly directory: string,
    program: number,
  ) {
    const at = mapChannelFile(this.system, directory);
    this.channel = new Channel(this.libc, at, undefined, OUTSIDE_SLOT_COUNT);
    this.#pending = bytesAt(add(at, PENDING), OUTSIDE_SLOT_COUNT);
    this.#watcher = new Watcher(this.libc, this.system, at);
    this.lifetime = new Lifetime(this.system, join(directory, LIBRARIES));
    this.lifetime.watchBy(program, PROGRAM);
    this.system.holdForLife(add(at, Header.offsetOf.alive));
    this.channel.open();
  }

  /** Answers for as long as anybody may ask. */
  serve(): void {
    while (!this.lifetime.isOver) {
      const { bell } = this.channel;
      if (this.#advanceAll()) this.#lookBriefly();
      else if (this.#idle && !this.#idle.next().done) continue;
      else {
        this.#idle = undefined;
        this.#sleep(bell);
        if (this.lifetime.isOver) this.lifetime.findOthers();
      }
    }
    // The program may have ended before there was time for it.
    this.#tidy();
  }

  /** Whoever waits shall wait no longer. */
  giveUp(): void {
    this.channel.close();
    for (const exchange of this.channel.exchanges) {
      const { state } = exchange;
      if (state === State.asked || state === State.obeyed) exchange.order([{ what: "fail", arguments: [] }]);
    }
  }

  /** Returns whether anybody has asked. */
  #advanceAll(): boolean {
    const asked = this.channel.asked();
    // Nobody asks before the program runs, and then the launcher has said all that it knows.
    for (const exchange of asked) this.#begun().advance(exchange);
    return asked.length > 0;
  }

  #begun(): Answering {
    if (!this.#answering) {
      const file = readLaunchFile(this.directory);
      const watch = (pid: number) => {
        if (!this.lifetime.watch(pid)) this.#answering?.ended(pid);
      };
      this.#trace = new Trace(file.trace);
      this.#answering = new Answering(this.libc, this.channel, file, this.directory, this.#trace, watch);
      this.#idle = this.#idleWork(this.#answering);
      this.#trace.tell("request", () => `the server is process ${process.pid}`);
    }
    return this.#answering;
  }

  get #isPending(): boolean {
    return this.#pending.includes(1);
  }

  /** Removes what killed runs have left behind, once. */
  #tidy(): void {
    if (this.#isTidy) return;
    this.#isTidy = true;
    for (const fault of removeStale()) this.#trace.tell("plan", () => `left behind, and not removed: ${fault}`);
  }

  *#idleWork(answering: Answering): Generator<undefined> {
    yield* answering.idle();
    this.#tidy();
  }

  /** One request often follows another, sooner than a thread can be woken. */
  #lookBriefly(): void {
    const end = performance.now() + BRIEFLY;
    while (!this.#isPending && performance.now() < end);
  }

  #sleep(bell: number): void {
    const descriptors = [BELL, ...this.lifetime.descriptors];
    for (const descriptor of descriptors) this.#watcher.watch(descriptor);
    this.channel.awaitBell(bell);
    const ready = this.system.readable(descriptors);
    if (ready.includes(BELL)) {
      readSync(BELL, new Uint8Array(4096));
      // The first to ring is the launcher.
      this.#begun();
    }
    for (const pid of this.lifetime.forget(ready)) this.#answering?.ended(pid);
  }
}

function main([directory = "", program = ""]: readonly string[]): void {
  let server: Server | undefined;
  try {
    server = new Server(directory, Number(program));
    server.libc.setThreadName("capsule");
    server.serve();
    rmSync(directory, { recursive: true, force: true });
  } catch (error) {
    writeSync(2, `capsule: what is asked is not answered any more: ${error instanceof Error ? error.stack : error}\n`);
    server?.giveUp();
  }
  (server?.libc ?? new Libc()).exitNow(0);
}

main(process.argv.slice(2));
