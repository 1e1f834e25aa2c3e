// The server of an attached program and of everything that it starts: a process of its own that is nobody's child. Its
// arguments are the serving directory and the pid of the program's process, which is also its descriptor 3, so that no
// pid can be mistaken.
//
// It sleeps until the doorbell rings or a process ends, and wakes up for nothing else; it never returns to Bun's event
// loop. When no process can send requests any more, it removes the directory and ends.

import { rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { LoadedImage } from "../../lib/elf/loaded.ts";
import { add } from "../../lib/memory/numbers.ts";
import { Libc } from "../../lib/process/libc.ts";
import { holdRobustMutex } from "../../lib/process/robust-mutex.ts";
import { System } from "../../lib/process/system.ts";
import { Watcher } from "../../lib/process/watcher.ts";
import { unlessRefused } from "../../lib/system-error.ts";
import { Channel } from "../agent/channel.ts";
import { Header, OUTSIDE_SLOT_COUNT, State } from "../agent/protocol.ts";
import { EventWriter } from "../diagnostics/events.ts";
import { Trace } from "../diagnostics/trace.ts";
import { LIBRARIES } from "../directories/library-path.ts";
import { claim, removeStale } from "../directories/private-directory.ts";
import { mapChannelFile } from "../server/channel-file.ts";
import { Door } from "../server/door.ts";
import { type LaunchFile, readLaunchFile } from "../server/launch-file.ts";
import { Answering } from "./answering.ts";
import { Lifetime } from "./lifetime.ts";
import { NativeWatch } from "./native-watch.ts";
import { prepare, warmUp } from "./warm-up.ts";

/** Descriptors: /dev/null; the program's standard error, or where events go; the program's process. */
const [NOTHING, COMPLAINTS, PROGRAM] = [0, 1, 3] as const;
const RAN_NATIVELY = (opened: string) =>
  `capsule: nothing has been linked, and "${opened}" was opened: what ran so had no isolated libraries, as if started without LD_AUDIT and LD_LIBRARY_PATH (env -i)\n`;
/** How long to poll for another request before going to sleep, in milliseconds. */
const SPIN_MS = 0.05;
/** The same, while a client executes orders. */
const SPIN_WHILE_CALLED_MS = 1;
/** After this long without requests, in milliseconds, memory is given back: a running game needs it more. */
const IDLE_BEFORE_GC_MS = 1000;
/** How often to check whether the reader of events has room for more, in milliseconds. */
const EVENTS_RETRY_MS = 20;

class Server {
  readonly libc = new Libc();
  readonly system = new System();
  readonly lifetime: Lifetime;
  readonly channel: Channel;
  readonly #door: Door | undefined;
  #watch: NativeWatch | undefined;
  #launchFile?: LaunchFile;
  #answering?: Answering;
  #trace = new Trace([]);
  #isTidy = false;
  #hasProgramEnded = false;
  /** Someone reads complaints, and events do not go there. */
  #canComplain = false;
  /** How many requests were answered, and how long that took, in milliseconds. */
  #answers = 0;
  #busy = 0;
  /** What was read for answers is still in memory. */
  #hasLitter = false;
  /** Idle work. */
  #idle: Generator<undefined> | undefined = this.#warmUp();
  #glibc: readonly LoadedImage[] = [];

  constructor(
    readonly directory: string,
    readonly program: number,
  ) {
    const at = mapChannelFile(this.system, directory);
    this.channel = new Channel(this.libc, at, undefined, OUTSIDE_SLOT_COUNT);
    const watcher = new Watcher(this.libc, this.system, add(at, Header.offsetOf.doorbell));
    this.lifetime = new Lifetime(this.system, watcher, join(directory, LIBRARIES));
    this.#door = Door.open(this.system, watcher, directory);
    this.lifetime.watchBy(program, PROGRAM);
    // Clients can tell from this that we are alive, in any PID namespace.
    holdRobustMutex(this.libc, add(at, Header.offsetOf.alive));
    this.channel.open();
  }

  /** Answers for as long as any process may send requests. */
  serve(): void {
    while (!this.lifetime.isOver) {
      const { doorbell } = this.channel;
      // After reading the doorbell: later arrivals ring again.
      this.#door?.admit();
      // The launcher rings when it has written everything.
      if (doorbell > 0 && !this.lifetime.hasEnded) this.#begun();
      for (const pid of this.lifetime.forgetEnded()) {
        // The process may have deleted the file.
        if (doorbell > 0) unlessRefused(() => this.#said);
        this.#trace.emit(() => ({ event: "ended", pid }));
        if (pid === this.program) {
          this.#takeOver();
          this.#hasProgramEnded = true;
        }
        this.#answering?.ended(pid);
      }
      this.#watch?.look();
      if (this.lifetime.isOver) this.lifetime.findOthers();
      if (this.lifetime.isOver) continue;
      if (this.#hasProgramEnded) this.#leave();
      if (this.#advanceAll()) this.#lookBriefly(doorbell);
      else if (!this.#goOn()) this.#sleep(doorbell);
    }
    const found = this.#answers === 0 && this.#canComplain ? this.#watch?.found : undefined;
    if (found !== undefined) writeSync(COMPLAINTS, RAN_NATIVELY(found));
    this.#trace.log("time", () => `${this.#answers} answers took ${this.#busy.toFixed(1)}`);
    // The program may have ended before there was time for it.
    this.#tidy();
    this.#trace.events?.flush();
  }

  /** Releases the waiting clients. */
  giveUp(): void {
    this.channel.close();
    for (const slot of this.channel.slots) {
      const { state } = slot;
      if (state === State.asked || state === State.obeyed) slot.order([{ what: "fail", arguments: [] }]);
    }
  }

  /** Returns whether there were requests. */
  #advanceAll(): boolean {
    const asked = this.channel.asked();
    // Requests come only once the program runs, and by then the launcher has written all that it knows.
    const before = performance.now();
    for (const slot of asked) this.#begun().advance(slot);
    if (asked.length > 0 && this.#answers === 0) {
      this.#leave();
      this.#watch?.end();
      this.#watch = undefined;
      this.#idle = this.#afterwards();
    }
    this.#answers += asked.length;
    this.#busy += performance.now() - before;
    if (asked.length > 0) this.#hasLitter = true;
    return asked.length > 0;
  }

  /** What the launcher has written. It is complete once it has rung. */
  get #said(): LaunchFile {
    if (!this.#launchFile) {
      this.#launchFile = readLaunchFile(this.directory);
      const { trace, events } = this.#launchFile;
      const writer = events === "none" ? undefined : new EventWriter(1, events === "with bindings");
      this.#trace = new Trace(trace, writer);
      this.#canComplain = events === "none";
      if (!this.#launchFile.isAwaited) this.#leave();
    }
    return this.#launchFile;
  }

  #begun(): Answering {
    if (!this.#answering) {
      const file = this.#said;
      const watch = (pid: number) => {
        if (!this.lifetime.watch(pid)) this.#answering?.ended(pid);
      };
      this.#answering = new Answering(this.libc, this.channel, file, this.directory, this.#trace, watch);
      this.#idle = this.#prepare(this.#idle, this.#answering);
      this.#trace.log("request", () => `the server is process ${process.pid}`);
    }
    return this.#answering;
  }

  /** A program in-process has removed its own files in the directory, such as the mark of its owner. */
  #takeOver(): void {
    unlessRefused(
      () => claim(this.directory),
      ({ message }) => this.#trace.log("request", () => `not known to be this server's: ${message}`),
    );
  }

  /** Does a step of idle work. Returns whether there was any. */
  #goOn(): boolean {
    try {
      if (this.#idle && !this.#idle.next().done) return true;
    } catch (error) {
      // For example, a library is damaged. The error is reported to the caller that requests it.
      this.#trace.log("request", () => `not prepared: ${error instanceof Error ? error.stack : error}`);
    }
    this.#idle = undefined;
    return false;
  }

  /** A reader that waits for its end shall not wait for us. */
  #leave(): void {
    if (!this.#canComplain) return;
    this.#canComplain = false;
    this.libc.replaceDescriptor(COMPLAINTS, NOTHING);
  }

  /** Removes what killed runs have left behind, once. */
  #tidy(): void {
    if (this.#isTidy) return;
    this.#isTidy = true;
    for (const fault of removeStale()) this.#trace.log("plan", () => `left behind, and not removed: ${fault}`);
  }

  *#warmUp(): Generator<undefined> {
    this.#glibc = yield* warmUp(this.libc);
  }

  /** Until the first request; after the work in progress. */
  *#prepare(before: Generator<undefined> | undefined, { site }: Answering): Generator<undefined> {
    if (this.#canComplain) {
      this.#watch = new NativeWatch(this.system, site, this.lifetime.watcher);
      yield* this.#watch.begin();
    }
    if (before) yield* before;
    yield* prepare(site, this.#glibc);
  }

  /** After the first request. */
  *#afterwards(): Generator<undefined> {
    yield* this.#begun().idle();
    this.#tidy();
  }

  #sleep(doorbell: number): void {
    const isWatched = this.#answering?.sweep() ?? false;
    const { events } = this.#trace;
    events?.flush();
    const waits = [
      events?.isWaiting ? EVENTS_RETRY_MS : undefined,
      this.#hasLitter || isWatched ? IDLE_BEFORE_GC_MS : undefined,
      this.#watch?.patience,
    ].filter((milliseconds) => milliseconds !== undefined);
    this.channel.awaitDoorbell(doorbell, waits.length > 0 ? Math.min(...waits) : undefined);
    if (!this.#hasLitter || this.channel.doorbell !== doorbell) return;
    Bun.gc(true);
    this.#hasLitter = false;
  }

  /** One request often follows another, sooner than a thread can be woken. */
  #lookBriefly(before: number): void {
    const end = performance.now() + (this.#answering?.isAmid ? SPIN_WHILE_CALLED_MS : SPIN_MS);
    while (this.channel.doorbell === before && performance.now() < end);
  }
}

function main([directory = "", program = ""]: readonly string[]): void {
  let server: Server | undefined;
  // Our files are not for others, whatever umask the program may want.
  process.umask(0o077);
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
