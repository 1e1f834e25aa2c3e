// The requests of the hosted program and of its forked children.

import { toAddress } from "../../lib/memory/numbers.ts";
import { OtherProcess } from "../../lib/process/other.ts";
import type { Process } from "../../lib/process/process.ts";
import { Kind } from "../agent/protocol.ts";
import type { Slot } from "../agent/slot.ts";
import { BunThreads } from "../handover/threads.ts";
import type { Functions } from "../passes/functions.ts";
import { argumentsOf, type Client, Requests, whose } from "../server/requests.ts";
import type { Session } from "../server/sessions.ts";
import { Children } from "./children.ts";
import type { HostedContext } from "./server-context.ts";

export class HostedRequests extends Requests {
  readonly #bunThreads = new BunThreads();
  readonly #children: Children;

  constructor(readonly context: HostedContext) {
    super(context.trace);
    this.#children = new Children(context);
  }

  functionsOf(): Functions {
    return this.context.state.functions;
  }

  #isOwn(slot: Slot): boolean {
    return slot.channel === this.context.own;
  }

  /** Forked children may die; a thread of the program's own does not without the process. */
  sweep(): boolean {
    const { children, libc } = this.context;
    return this.sessions.sweep(
      children.used,
      (pid) => libc.system.isAlive(pid),
      () => false,
    );
  }

  protected clientOf(slot: Slot): Client {
    const { libc } = this.context;
    const process: Process = this.#isOwn(slot) ? libc : new OtherProcess(libc, slot.request.pid);
    return {
      linkage: this.context.of(process),
      sharedFiles: this.context.shared,
      asItIs: (path) => path,
      keep: (text) => slot.channel.intern(text),
    };
  }

  protected *other(slot: Slot): Session {
    const { kind, tid } = slot.request;
    switch (kind & 0xff) {
      case Kind.run:
      case Kind.shell:
        return yield* this.#run(slot, this.clientOf(slot).linkage.process);
      case Kind.leave:
        return { what: "return", arguments: [this.#isOwn(slot) && !this.#bunThreads.hasOthers(tid) ? 1 : 0] };
      default:
        throw new Error(`Cannot answer a request of kind ${kind}`);
    }
  }

  /** What it runs is started unchanged, and finds a server to ask. */
  *#run(slot: Slot, asking: Process): Session {
    const { kind, target, token } = slot.request;
    const list = argumentsOf(slot);
    const text = () => asking.stringAt(toAddress(Number(list[(kind & 0xff) === Kind.shell ? 0 : kind >> 8])));
    this.trace.log("request", () => `${whose(token)}: runs "${text()}"`);
    const fault = this.#children.serve();
    if (fault !== undefined)
      yield* this.sayOnce(slot, this.functionsOf(), `"${text()}" runs without the host's libraries: ${fault}`);
    return { what: "jump", target, arguments: list };
  }
}
