// The server of an attached program and of everything that it starts: a process of its own that is nobody's child. Its
// arguments are the serving directory and the pid of the program's process, which is also its descriptor 3, so that no
// pid can be mistaken. Its descriptor 4 holds the channel's lock: see start-server.ts.
//
// It sleeps until the doorbell rings or a process ends, and wakes up for nothing else; it never returns to Bun's event
// loop. When no process can send requests any more, it removes the directory and ends.

import { writeSync } from "node:fs";
import { join } from "node:path";
import type { LoadedImage } from "../../lib/elf/loaded.ts";
import { add } from "../../lib/memory/numbers.ts";
import { Libc } from "../../lib/process/libc.ts";
import { holdRobustMutex } from "../../lib/process/pthreads.ts";
import { Watcher } from "../../lib/process/watcher.ts";
import { unlessRefused } from "../../lib/unless.ts";
import { Channel, Channels } from "../agent/channel.ts";
import { Header, OUTSIDE_SLOT_COUNT } from "../agent/protocol.ts";
import type { Slot } from "../agent/slot.ts";
import { EventWriter } from "../diagnostics/events.ts";
import { printable } from "../diagnostics/output.ts";
import { Trace } from "../diagnostics/trace.ts";
import { reportLeftovers } from "../directories/leftovers.ts";
import { LIBRARIES } from "../directories/library-path.ts";
import { removeDirectory } from "../directories/private-directory.ts";
import { mapChannelFile } from "../server/channel-file.ts";
import { Door } from "../server/door.ts";
import { type LaunchFile, readLaunchFile } from "../server/launch-file.ts";
import { reportEnd, Server } from "../server/server.ts";
import { Lifetime } from "./lifetime.ts";
import { NativeWatch } from "./native-watch.ts";
import { AttachedRequests } from "./requests.ts";
import { AttachedContext } from "./server-context.ts";
import { prepare, warmUp } from "./warm-up.ts";

/** Descriptors: /dev/null; the program's standard error, or where events go; the program's process. */
const [NOTHING, COMPLAINTS, PROGRAM] = [0, 1, 3] as const;
const RAN_NATIVELY = (opened: string) =>
  `capsule: nothing has been linked, and "${printable(opened)}" was opened: what ran so had no isolated libraries, as if started without LD_AUDIT and LD_LIBRARY_PATH (env -i)\n`;
/** After this long without requests, in milliseconds, memory is given back: a running game needs it more. */
const IDLE_BEFORE_GC_MS = 1000;
/** How often to check whether the reader of events has room for more, in milliseconds. */
const EVENTS_RETRY_MS = 20;

class AttachedServer extends Server<AttachedRequests> {
  readonly channel: Channel;
  readonly lifetime: Lifetime;
  readonly #door: Door | undefined;
  #watch: NativeWatch | undefined;
  #launchFile?: LaunchFile;
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
  #glibc: readonly LoadedImage[] = [];
  /** Processes that could not be watched any more. Their slots are not freed until their requests are dealt with. */
  readonly #endedAlready: number[] = [];

  constructor(
    readonly libc: Libc,
    readonly directory: string,
    readonly program: number,
  ) {
    const { system } = libc;
    const channel = new Channel(libc, mapChannelFile(system, directory), undefined, OUTSIDE_SLOT_COUNT);
    super(new Channels(libc, channel));
    this.channel = channel;
    const watcher = new Watcher(libc, system, add(channel.at, Header.offsetOf.doorbell));
    this.lifetime = new Lifetime(system, watcher, join(directory, LIBRARIES));
    this.#door = Door.open(system, watcher, directory);
    this.lifetime.watchBy(program, PROGRAM);
    // Clients can tell from this that we are alive, in any PID namespace.
    holdRobustMutex(libc, add(channel.at, Header.offsetOf.alive));
    this.idle = this.#warmUp();
    this.channels.open();
  }

  /** There will be requests for as long as any process may send them. */
  protected attend(): boolean {
    this.#door?.admit();
    // The launcher rings when it has written everything.
    const isWritten = this.channel.doorbell > 0;
    if (isWritten && !this.lifetime.hasEnded) this.#begun();
    for (const pid of this.lifetime.forgetEnded()) {
      // The process may have deleted the file.
      if (isWritten) unlessRefused(() => this.#said);
      this.#trace.emit(() => ({ event: "ended", pid }));
      if (pid === this.program) this.#hasProgramEnded = true;
      this.requests?.ended(pid);
    }
    for (const pid of this.#endedAlready.splice(0)) this.requests?.ended(pid);
    this.#watch?.look();
    if (this.lifetime.isOver) this.lifetime.findOthers();
    if (this.lifetime.isOver) return false;
    if (this.#hasProgramEnded) this.#leave();
    return true;
  }

  /** Requests come only once the program runs, and by then the launcher has written all that it knows. */
  protected override answer(asked: readonly Slot[]): void {
    const before = performance.now();
    this.#begun();
    super.answer(asked);
    if (this.#answers === 0) {
      this.#leave();
      this.#watch?.end();
      this.#watch = undefined;
      this.idle = this.#afterwards();
    }
    this.#answers += asked.length;
    this.#busy += performance.now() - before;
    this.#hasLitter = true;
  }

  protected patience(): number | undefined {
    const { events } = this.#trace;
    events?.flush();
    if (events?.isWaiting) return EVENTS_RETRY_MS;
    return this.#hasLitter ? IDLE_BEFORE_GC_MS : this.#watch?.patience;
  }

  protected override rest(): void {
    if (this.#hasLitter) Bun.gc(true);
    this.#hasLitter = false;
  }

  protected override end(): void {
    const found = this.#answers === 0 && this.#canComplain ? this.#watch?.found : undefined;
    if (found !== undefined) writeSync(COMPLAINTS, RAN_NATIVELY(found));
    this.#trace.log("time", () => `${this.#answers} answers took ${this.#busy.toFixed(1)}`);
    // The program may have ended before there was time for it.
    this.#tidy();
    this.#trace.events?.flush();
    removeDirectory(this.directory);
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

  #begun(): void {
    if (this.requests) return;
    const file = this.#said;
    const watch = (pid: number) => {
      if (!this.lifetime.watch(pid)) this.#endedAlready.push(pid);
    };
    const context = new AttachedContext(this.libc, this.directory, file, this.#trace);
    this.requests = new AttachedRequests(context, this.channel, watch);
    this.idle = this.#prepare(this.idle, context);
    this.#trace.log("request", () => `the server is process ${process.pid}`);
  }

  /** A reader that waits for its end shall not wait for us. */
  #leave(): void {
    if (!this.#canComplain) return;
    this.#canComplain = false;
    this.libc.descriptors.replace(COMPLAINTS, NOTHING);
  }

  /** Once. */
  #tidy(): void {
    if (this.#isTidy) return;
    this.#isTidy = true;
    reportLeftovers(this.#trace);
  }

  *#warmUp(): Generator<undefined> {
    this.#glibc = yield* warmUp(this.libc);
  }

  /** Until the first request; after the work in progress. */
  *#prepare(before: Generator<undefined> | undefined, context: AttachedContext): Generator<undefined> {
    if (this.#canComplain) {
      this.#watch = new NativeWatch(this.libc.system, context, this.lifetime.watcher);
      yield* this.#watch.begin();
    }
    if (before) yield* before;
    yield* prepare(context, this.#glibc);
  }

  /** After the first request. */
  *#afterwards(): Generator<undefined> {
    if (this.requests) yield* this.requests.idle();
    this.#tidy();
  }
}

function main([directory = "", program = ""]: readonly string[]): void {
  const libc = new Libc();
  // Our files are not for others, whatever umask the program may want.
  process.umask(0o077);
  libc.system.nameThread("capsule");
  try {
    new AttachedServer(libc, directory, Number(program)).serve();
  } catch (error) {
    reportEnd(error);
  }
  libc.system.exit(0);
}

// What is before that depends on how it was started: see own-code.ts.
main(process.argv.slice(-2));
