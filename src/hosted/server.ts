// Answers the agents of a hosted program, in a Worker while the program owns the main thread. It reads files, and the
// memory of what it has opened itself; whatever takes the loader's lock is done by the requesting thread. So threads
// may send requests while others are inside the loader, and one request may cause another.
//
// It never returns to Bun's event loop, whose descriptors are closed by now, or belong to the program.

import { bytesAt } from "../../lib/memory/live.ts";
import { toAddress } from "../../lib/memory/numbers.ts";
import { findCharacterSets, Libc } from "../../lib/process/libc.ts";
import { Channel, Channels } from "../agent/channel.ts";
import type { Channels as ChannelAddresses } from "../agent/code/channels.ts";
import { Kind } from "../agent/protocol.ts";
import type { Slot } from "../agent/slot.ts";
import { hasCharacterSets } from "../reexec/reexec.ts";
import { Server } from "../server/server.ts";
import { HostedRequests } from "./requests.ts";
import { HostedContext } from "./server-context.ts";
import { OVER, type ServerState } from "./server-state.ts";

/** How often to check whether this Worker is to end, in milliseconds. */
const TERMINATION_INTERVAL_MS = 200;

class HostedServer extends Server<HostedRequests> {
  #isOver = false;

  constructor(
    readonly libc: Libc,
    readonly own: Channel,
    readonly children: Channel,
  ) {
    super(new Channels(libc, own, children));
    this.channels.open();
  }

  /** Until the main thread says that it is over, or the process ends. */
  protected attend(): boolean {
    return !this.#isOver;
  }

  /** The main thread first: other requests may depend on what it says. */
  protected override answer(asked: readonly Slot[]): void {
    const states = asked.filter(({ channel, request }) => channel === this.own && request.kind === Kind.state);
    for (const slot of states) {
      this.#hear(stateIn(slot));
      slot.free();
    }
    // A slot that is free may be another thread's by now.
    if (!this.#isOver) super.answer(asked.filter((slot) => !states.includes(slot)));
  }

  #hear(state: ServerState | typeof OVER): void {
    if (state === OVER) {
      this.channels.close();
      this.#isOver = true;
    } else if (this.requests) this.requests.context.update(state);
    else {
      // The program may close descriptors, and reuse their numbers.
      const hasOwn = state.server === undefined || this.libc.descriptors.separate(state.trace.length > 0);
      const context = new HostedContext(this.own, this.children, state);
      this.requests = new HostedRequests(context);
      if (!hasOwn) context.trace.log("request", () => "the server shares the program's descriptors");
      this.idle = context.idle();
    }
  }

  /** A script's Worker may be told to end, which only JavaScript notices. */
  protected patience(): number | undefined {
    return this.requests?.context.state.server === undefined ? TERMINATION_INTERVAL_MS : undefined;
  }
}

function stateIn({ request: { a0, a1 } }: Slot): ServerState | typeof OVER {
  return JSON.parse(Buffer.from(bytesAt(toAddress(Number(a0)), Number(a1))).toString());
}

// Whatever takes the loader's lock, or looks up symbols, is done before the process is changed.
addEventListener("message", ({ data }: MessageEvent<ChannelAddresses & { readonly isGone: Int32Array }>) => {
  const libc = new Libc();
  // On another glibc: find its character sets while the variable that names their directory is still set. The main
  // thread has more to do.
  if (hasCharacterSets()) findCharacterSets();
  const children = new Channel(libc, data.children);
  const own = new Channel(libc, data.own, data.doorbell === data.own ? undefined : children);
  const server = new HostedServer(libc, own, children);
  // After an error not back to the event loop, whose descriptors may be closed or someone else's.
  if (!server.serve()) for (;;) libc.futexes.sleepOn(children.at, children.doorbell);
  // Nothing here uses the channels any more.
  Atomics.store(data.isGone, 0, 1);
  Atomics.notify(data.isGone, 0);
});
