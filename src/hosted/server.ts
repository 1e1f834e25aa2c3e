// Answers the agents, in a Worker while the program owns the main thread. It reads
// files and, of what it has opened itself, memory; everything that takes the
// loader's lock it has the asking thread do. So threads may ask while others are
// inside the loader, and a request may lead to another.
//
// Where a program is hosted it never goes back to Bun's event loop: the descriptors of
// that are closed by now, or the program's.

import { writeSync } from "node:fs";
import { bytesAt } from "../../lib/memory/live.ts";
import { toAddress } from "../../lib/memory/numbers.ts";
import { Libc } from "../../lib/process/libc.ts";
import { System } from "../../lib/process/system.ts";
import { Channel, Channels } from "../agent/channel.ts";
import type { Channels as ChannelAddresses } from "../agent/code/channels.ts";
import { Kind, State } from "../agent/protocol.ts";
import type { Slot } from "../agent/slot.ts";
import { hasCharacterSets } from "../reexec/restart.ts";
import { Knowledge, OVER, type ServerState } from "../server/knowledge.ts";
import { OwnRequests } from "../server/own-requests.ts";
import { Sessions } from "../server/sessions.ts";

/** How long to sleep while a process may die that has asked, in milliseconds. */
const WATCH = 1000;
/** How often to listen whether this Worker is to end, in milliseconds. */
const HEAR = 200;
/** How long to look for another request before going on to what can wait, in milliseconds. */
const SPIN_MS = 0.05;

class Server {
  readonly #sessions: Sessions;
  /** Other processes have asked, and may have died. */
  #hasOthers = false;

  constructor(
    readonly knowledge: Knowledge,
    system: System,
  ) {
    this.#sessions = new Sessions(new OwnRequests(knowledge, system));
  }

  advance(slot: Slot): void {
    if (slot.channel === this.knowledge.channels.children) this.#hasOthers = true;
    this.#sessions.advance(slot);
  }

  forget(slot: Slot): void {
    this.#sessions.forget(slot);
  }

  /** How long to sleep at most. A Worker of a script's may be told to end, which only JavaScript hears of. */
  get patience(): number | undefined {
    return this.watch() ?? (this.knowledge.state.server === undefined ? HEAR : undefined);
  }

  /** Frees the slots of processes that have died in the middle. Returns when to look again, in milliseconds. */
  watch(): number | undefined {
    if (!this.#hasOthers) return undefined;
    let isWatched = false;
    for (const slot of this.knowledge.channels.children.used) {
      const client = slot.client;
      if (client === undefined) continue;
      if (this.knowledge.channels.own.libc.isAlive(client)) isWatched = true;
      else this.forget(slot);
    }
    this.#hasOthers = isWatched;
    return isWatched ? WATCH : undefined;
  }
}

/** Answers until the main thread says that it is over, or the process ends. */
function serve(channels: Channels, system: System): void {
  const { own, children } = channels;
  const { libc } = own;
  let server: Server | undefined;
  let idle: Generator<undefined> | undefined;
  try {
    for (const channel of [own, children]) channel.open();
    for (;;) {
      const { doorbells } = channels;
      const asked = channels.asked();
      // The main thread first: what others ask may depend on what it says.
      for (const slot of asked) {
        if (slot.channel !== own || slot.request.kind !== Kind.state) continue;
        const state = stateIn(slot);
        if (state === OVER) {
          for (const channel of [own, children]) channel.close();
          slot.free();
          return;
        }
        if (server) server.knowledge.update(state);
        else {
          // The program may close descriptors, and use their numbers for others.
          const hasOwn = state.server === undefined || libc.ownDescriptors(state.trace.length > 0);
          server = new Server(new Knowledge(channels, state), system);
          if (!hasOwn) server.knowledge.trace.log("request", () => "the server shares the program's descriptors");
          idle = server.knowledge.idle();
        }
        slot.free();
      }
      for (const slot of asked) {
        if (slot.state === State.left) server?.forget(slot);
        else if (slot.isForServer) server?.advance(slot);
      }
      if (asked.length > 0) {
        // One request often follows another, sooner than a thread can be woken.
        channels.lookFor(doorbells, SPIN_MS);
        continue;
      }
      if (idle && goOn(idle, server)) continue;
      idle = undefined;
      channels.awaitDoorbell(doorbells, server?.patience);
    }
  } catch (error) {
    writeSync(2, `capsule: what is asked is not answered any more: ${error instanceof Error ? error.stack : error}\n`);
    for (const channel of [own, children]) channel.close();
    // Not back to the event loop, which would find its descriptors closed, or somebody else's.
    for (;;) channels.awaitDoorbell(channels.doorbells);
  }
}

/** Does some of what can wait. Returns whether there is more. */
function goOn(idle: Generator<undefined>, server: Server | undefined): boolean {
  try {
    return !idle.next().done;
  } catch (error) {
    // Such as a program that has closed what was being read. Who needs it is told so, when it is asked for.
    server?.knowledge.trace.log("request", () => `not prepared: ${error instanceof Error ? error.stack : error}`);
    return false;
  }
}

function stateIn({ request: { a0, a1 } }: Slot): ServerState | typeof OVER {
  return JSON.parse(Buffer.from(bytesAt(toAddress(Number(a0)), Number(a1))).toString());
}

// What takes the loader's lock, or looks up symbols, is done before the process is changed.
addEventListener("message", ({ data }: MessageEvent<ChannelAddresses>) => {
  const libc = new Libc();
  // On another glibc: where its character sets are, while the variable is there that says it. The main thread has more
  // to do.
  if (hasCharacterSets()) libc.findCharacterSets();
  const children = new Channel(libc, data.children);
  serve(
    new Channels(new Channel(libc, data.own, data.doorbell === data.own ? undefined : children), children),
    new System(),
  );
});
