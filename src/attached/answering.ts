// Answers the processes of a launch.

import { ElfError } from "../../lib/elf/error.ts";
import { LinkError } from "../../lib/link-error.ts";
import { cString } from "../../lib/memory/live.ts";
import { type Address, toAddress } from "../../lib/memory/numbers.ts";
import type { Libc } from "../../lib/process/libc.ts";
import { UnreadableError } from "../../lib/process/other.ts";
import type { Channel } from "../agent/channel.ts";
import { Kind, State } from "../agent/protocol.ts";
import type { Exchange, Instruction } from "../agent/slot.ts";
import { dataOf } from "../diagnostics/error-data.ts";
import { EXIT } from "../diagnostics/errors.ts";
import type { Trace } from "../diagnostics/trace.ts";
import type { Functions } from "../passes/functions.ts";
import { readAhead } from "../server/answers.ts";
import type { LaunchFile } from "../server/launch-file.ts";
import { type Client, lentLine, Requests, type Session } from "../server/requests.ts";
import { orders } from "../server/session.ts";
import { Sessions } from "../server/sessions.ts";
import { attach } from "./attach.ts";
import { Attachment } from "./attachment.ts";
import { Clients } from "./clients.ts";
import { findObjection } from "./objections.ts";
import { Site } from "./site.ts";

export class Answering extends Requests {
  readonly site: Site;
  readonly #clients: Clients;
  readonly #sessions = new Sessions(this);

  /** `watch` is told of each process that asks. */
  constructor(
    readonly libc: Libc,
    readonly channel: Channel,
    file: LaunchFile,
    directory: string,
    trace: Trace,
    watch: (pid: number) => void,
  ) {
    super(trace);
    this.site = new Site(libc, directory, file, trace);
    // Threads that had asked are no more.
    this.#clients = new Clients(this.site, watch, (pid, exchange) => this.#forget(pid, exchange));
  }

  /** Goes on with what is asked in a slot. */
  advance(exchange: Exchange): void {
    if (exchange.state === State.left) {
      this.#sessions.forget(exchange);
      return;
    }
    this.#clients.hear(exchange);
    this.#sessions.advance(exchange);
  }

  functionsOf(exchange: Exchange): Functions | undefined {
    return this.#clients.find(exchange)?.functions;
  }

  /** Somebody has orders, and will say what came of them. */
  get isAmid(): boolean {
    return this.#sessions.isAmid;
  }

  /** A process has ended. */
  ended(pid: number): void {
    this.#clients.ended(pid);
    this.#forget(pid);
  }

  /** A process's slots may be somebody else's from now on. */
  #forget(pid: number, except?: Exchange): void {
    for (const exchange of this.channel.exchanges)
      if (exchange !== except && exchange.holder === pid) this.#sessions.forget(exchange);
  }

  /** Frees the slots of who has died before anybody has known of it. Returns whether there are such that may yet. */
  sweep(): boolean {
    let isDoubtful = false;
    for (const exchange of this.channel.exchanges) {
      const { holder } = exchange;
      if (holder === undefined || this.#clients.isKnown(holder)) continue;
      if (this.libc.isAlive(holder)) isDoubtful = true;
      else this.#sessions.forget(exchange);
    }
    return isDoubtful;
  }

  /** What can wait until nobody asks, once somebody has: reads what the host's libraries will probably open. */
  *idle(): Generator<undefined> {
    const capsules = this.#clients.newest?.capsules ?? [];
    for (const [index, { ahead }] of this.site.file.capsules.entries()) {
      for (const name of ahead) {
        const capsule = capsules[index];
        if (capsule) readAhead(capsule, name);
        yield;
      }
    }
    // What has been found out of libraries is kept for the next run.
    const reason = this.site.store.save();
    if (reason !== undefined) this.trace.tell("plan", () => `the store of libraries was not written: ${reason}`);
  }

  protected clientOf(exchange: Exchange): Client {
    return this.#clients.of(exchange, this.#clients.controlBlockOf(Attachment.idOf(exchange.request.token)));
  }

  protected *other(exchange: Exchange): Session {
    const { kind } = exchange.request;
    if (kind === Kind.check) return this.#check(exchange);
    if (kind !== Kind.attach) throw new Error(`Cannot answer a request of kind ${kind}`);
    return yield* this.#attach(exchange);
  }

  /** A dlopen brings the first shims: it fails where what they stand for cannot be had. */
  #check(exchange: Exchange): Instruction {
    const { a1, a2, a3, pid } = exchange.request;
    const passed: Instruction = { what: "return", arguments: [0] };
    const begun = performance.now();
    try {
      const [at, copy] = [a1, a2].map((word) => toAddress(Number(word))) as [Address, Address];
      const attachment = this.#clients.of(exchange, { at, copy });
      const objection = findObjection(attachment, a3 !== 0n);
      this.trace.tell("request", () => `process ${pid}: shims, checked in ${Math.round(performance.now() - begun)} ms`);
      if (!objection) return passed;
      const { object, text, errno } = objection;
      this.trace.tell("request", () => `process ${pid}: glibc is to refuse them: ${object}: ${text}`);
      const raise = attachment.findSymbol("_dl_signal_error");
      const [subject, reason] = [object, text].map((one) => attachment.keep(one));
      if (raise === undefined || subject === undefined || reason === undefined) return passed;
      return { what: "jump", target: raise, arguments: [errno, subject, 0, reason] };
    } catch (error) {
      // Linking will come to it, too, and says it.
      this.trace.tell("request", () => `process ${pid}: not checked: ${reasonOf(error)}`);
      return passed;
    }
  }

  *#attach(exchange: Exchange): Session {
    const { a0, a1, a2, a3, a4, returnAddress } = exchange.request;
    const [shim, controlBlock, copy, say, leave] = [a0, a1, a2, a3, a4].map((word) => toAddress(Number(word))) as [
      Address,
      Address,
      Address,
      Address,
      Address,
    ];
    let attachment: Attachment | undefined;
    const begun = performance.now();
    try {
      const missing = this.#clients.missingLibdl(exchange, { at: controlBlock, copy });
      const file = missing && exchange.lend(cString(missing.file))?.at;
      if (missing && file !== undefined)
        yield [{ what: "call", target: missing.open, arguments: [file, missing.mode] }];
      const asking = this.#clients.of(exchange, { at: controlBlock, copy });
      attachment = asking;
      const linked = yield* orders(exchange, asking.functions, attach(asking, shim, returnAddress), (path) =>
        asking.asItIs(path),
      );
      if (!linked) return { what: "return", arguments: [0] };
      const { pid } = exchange.request;
      const duration = performance.now() - begun;
      this.trace.emit(() => ({ event: "linked", pid, program: attachment?.program.path ?? "", ...linked, duration }));
    } catch (error) {
      yield [{ what: "call", target: say, arguments: lentLine(exchange, reasonOf(error)) }];
      // What it was started with cannot be missing; a plug-in's library can.
      const isNeeded = attachment ? !attachment.isRunning : !(error instanceof LinkError);
      const { pid } = exchange.request;
      this.trace.emit(() => ({ event: "failed", pid, isFatal: isNeeded, error: dataOf(error) }));
      if (isNeeded) yield [{ what: "call", target: leave, arguments: [EXIT.failure] }];
    }
    return { what: "return", arguments: [0] };
  }
}

/** What is wrong with files, libraries, the process or the machine; a fault of ours says where it is. */
function reasonOf(error: unknown): string {
  const { code, message, stack } = error as NodeJS.ErrnoException;
  const isKnown = [LinkError, ElfError, UnreadableError].some((kind) => error instanceof kind);
  return isKnown || code !== undefined ? message : (stack ?? String(error));
}
