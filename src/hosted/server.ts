// Answers the agents, in a Worker while the program owns the main thread. It reads files, and the memory of what it has
// opened itself; whatever takes the loader's lock is done by the requesting thread. So threads may send requests while
// others are inside the loader, and one request may cause another.
//
// For a hosted program it never returns to Bun's event loop, whose descriptors are closed by now, or belong to the
// program.

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

/** How long to sleep while a client process may die, in milliseconds. */
const WATCH = 1000;
/** How often to check whether this Worker is to end, in milliseconds. */
const HEAR = 200;
/** How long to poll for another request before turning to idle work, in milliseconds. */
const SPIN_MS = 0.05;

class Server {
  readonly #sessions: Sessions;
  /** Other processes have sent requests, and may have died. */
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

  /** How long to sleep at most. A script's Worker may be told to end, which only JavaScript notices. */
  get patience(): number | undefined {
    return this.watch() ?? (this.knowledge.state.server === undefined ? HEAR : undefined);
  }

  /** Frees the slots of processes that died during a request. Returns when to check again, in milliseconds. */
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
      // The main thread first: other requests may depend on what it says.
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
          // The program may close descriptors, and reuse their numbers.
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
    // Not back to the event loop, whose descriptors may be closed or someone else's.
    for (;;) channels.awaitDoorbell(channels.doorbells);
  }
}

/** Does a step of idle work. Returns whether there is more. */
function goOn(idle: Generator<undefined>, server: Server | undefined): boolean {
  try {
    return !idle.next().done;
  } catch (error) {
    // For example, the program has closed what was being read. The error is reported to the caller that requests it.
    server?.knowledge.trace.log("request", () => `not prepared: ${error instanceof Error ? error.stack : error}`);
    return false;
  }
}

function stateIn({ request: { a0, a1 } }: Slot): ServerState | typeof OVER {
  return JSON.parse(Buffer.from(bytesAt(toAddress(Number(a0)), Number(a1))).toString());
}

// Whatever takes the loader's lock, or looks up symbols, is done before the process is changed.
addEventListener("message", ({ data }: MessageEvent<ChannelAddresses>) => {
  const libc = new Libc();
  // On another glibc: find its character sets while the variable that names their directory is still set. The main
  // thread has more to do.
  if (hasCharacterSets()) libc.findCharacterSets();
  const children = new Channel(libc, data.children);
  serve(
    new Channels(new Channel(libc, data.own, data.doorbell === data.own ? undefined : children), children),
    new System(),
  );
});
