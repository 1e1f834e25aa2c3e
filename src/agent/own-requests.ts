// What the hosted program asks, and its forked children.

import { readlinkSync } from "node:fs";
import { toAddress } from "../../lib/memory/numbers.ts";
import { OtherProcess } from "../../lib/process/other.ts";
import type { Process } from "../../lib/process/process.ts";
import type { Functions } from "../functions.ts";
import { capsuleOf } from "../passes/expose.ts";
import { COMPANIONS } from "../profiles/profiles.ts";
import type { Exchange } from "./exchange.ts";
import type { Knowledge } from "./knowledge.ts";
import { isolatedNeedsOf, programFile, programOfCommand } from "./outside.ts";
import { Kind } from "./protocol.ts";
import { type Asker, argumentsOf, type Conversation, Requests, whose } from "./requests.ts";
import { BunThreads } from "./threads.ts";

export class OwnRequests extends Requests {
  readonly #bunThreads = new BunThreads();
  /** Programs that have been run outside. */
  readonly #outside = new Set<string>();

  constructor(readonly knowledge: Knowledge) {
    super(knowledge.trace);
  }

  functionsOf(): Functions {
    return this.knowledge.state.functions;
  }

  #isOwn(exchange: Exchange): boolean {
    return exchange.channel === this.knowledge.channels.own;
  }

  protected askerOf(exchange: Exchange): Asker {
    const { libc } = this.knowledge.channels.own;
    const process: Process = this.#isOwn(exchange) ? libc : new OtherProcess(libc, exchange.request.pid);
    return {
      launch: this.knowledge.of(process).launch,
      sharedFiles: this.knowledge.shared,
      keep: (text) => exchange.channel.intern(text),
    };
  }

  protected *other(exchange: Exchange): Conversation {
    const { kind, tid } = exchange.request;
    switch (kind & 0xff) {
      case Kind.run:
      case Kind.shell:
        return yield* this.#run(exchange, this.askerOf(exchange).launch.process);
      case Kind.leave:
        // In a forked child there is nobody but the program's own threads, and glibc counts them.
        return { what: "return", arguments: [this.#isOwn(exchange) && !this.#bunThreads.hasOthers(tid) ? 1 : 0] };
      default:
        throw new Error(`Cannot answer a request of kind ${kind}`);
    }
  }

  /** It is run as it is; the user hears of it once, if that makes a difference. */
  *#run(exchange: Exchange, asking: Process): Conversation {
    const { kind, target, pid, token } = exchange.request;
    const list = argumentsOf(exchange);
    const isShell = kind === Kind.shell;
    const text = asking.stringAt(toAddress(Number(list[isShell ? 0 : kind >> 8])));
    const name = isShell ? programOfCommand(text) : text;
    const file = name && programFile(name, readlinkSync(`/proc/${pid}/cwd`), Bun.env.PATH ?? "");
    this.trace.tell("request", () => `${whose(token)}: runs "${text}", outside of the capsule`);
    if (file && !this.#outside.has(file)) {
      this.#outside.add(file);
      const { launch, capsules } = this.knowledge.own;
      const needed = isolatedNeedsOf(file, launch.runtime, (soname) => capsuleOf(capsules, soname) !== undefined);
      const missed = needed.filter((soname) => !COMPANIONS.has(soname)).join(", ");
      if (missed !== "")
        yield* this.sayOnce(
          exchange,
          launch.functions,
          `"${file}" runs outside of the capsule: it gets the runtime's own ${missed}`,
        );
    }
    return { what: "jump", target, arguments: list };
  }
}
