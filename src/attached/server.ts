// The server of an attached program and of all that it starts: a process of its own,
// which nobody is the parent of. Its arguments: the serving directory and the program's
// process, which is its descriptor 3, too, so that no number can be mistaken.
//
// It sleeps until somebody rings or a process ends, and wakes up for nothing else; it
// never goes back to Bun's event loop. When nobody may ask any more, it removes the
// directory, and ends.

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
/** How long to look for another request before going to sleep, in milliseconds. */
const SPIN_MS = 0.05;
/** The same, while somebody does what it was told. */
const SPIN_WHILE_CALLED_MS = 1;
/** When nobody has asked for so long, in milliseconds, memory is given back: who plays a game needs it more. */
const IDLE_BEFORE_GC_MS = 1000;
/** How often to look whether whoever reads events has room for more, in milliseconds. */
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
  /** There is somebody who reads complaints, and events do not go there. */
  #canComplain = false;
  /** How often somebody was answered, and how long that took, in milliseconds. */
  #answers = 0;
  #busy = 0;
  /** What has been read for answers is in memory yet. */
  #hasLitter = false;
  /** What can wait. */
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
    // Whoever asks sees by this that we live, in whichever PID namespace.
    holdRobustMutex(this.libc, add(at, Header.offsetOf.alive));
    this.channel.open();
  }

  /** Answers for as long as anybody may ask. */
  serve(): void {
    while (!this.lifetime.isOver) {
      const { doorbell } = this.channel;
      // Behind that: who comes later rings again.
      this.#door?.admit();
      // The launcher rings when all is said.
      if (doorbell > 0 && !this.lifetime.hasEnded) this.#begun();
      for (const pid of this.lifetime.forgetEnded()) {
        // It may have taken the file along.
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

  /** Whoever waits shall wait no longer. */
  giveUp(): void {
    this.channel.close();
    for (const slot of this.channel.slots) {
      const { state } = slot;
      if (state === State.asked || state === State.obeyed) slot.order([{ what: "fail", arguments: [] }]);
    }
  }

  /** Returns whether anybody has asked. */
  #advanceAll(): boolean {
    const asked = this.channel.asked();
    // Nobody asks before the program runs, and then the launcher has said all that it knows.
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

  /** What the launcher has said. It has, when it has rung. */
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

  /** A program in-process has removed what was its own in the directory, such as what says whose it is. */
  #takeOver(): void {
    unlessRefused(
      () => claim(this.directory),
      ({ message }) => this.#trace.log("request", () => `not known to be this server's: ${message}`),
    );
  }

  /** Does some of what can wait. Returns whether there was any. */
  #goOn(): boolean {
    try {
      if (this.#idle && !this.#idle.next().done) return true;
    } catch (error) {
      // Such as a library that is damaged. Who needs it is told so, when it is asked for.
      this.#trace.log("request", () => `not prepared: ${error instanceof Error ? error.stack : error}`);
    }
    this.#idle = undefined;
    return false;
  }

  /** Whoever reads it to its end shall not wait for us. */
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

  /** While nobody has asked; behind what is being done. */
  *#prepare(before: Generator<undefined> | undefined, { site }: Answering): Generator<undefined> {
    if (this.#canComplain) {
      this.#watch = new NativeWatch(this.system, site, this.lifetime.watcher);
      yield* this.#watch.begin();
    }
    if (before) yield* before;
    yield* prepare(site, this.#glibc);
  }

  /** When somebody has asked for the first time. */
  *#afterwards(): Generator<undefined> {
    yield* this.#begun().idle();
    this.#tidy();
  }

  #sleep(doorbell: number): void {
    const isWatched = this.#answering?.sweep() ?? false;
    const { events } = this.#trace;
    events?.flush();
    const patience = events?.isWaiting ? EVENTS_RETRY_MS : this.#hasLitter || isWatched ? IDLE_BEFORE_GC_MS : undefined;
    this.channel.awaitDoorbell(doorbell, patience);
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
  // Nothing of ours is for others, whatever the program may want of its own.
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
