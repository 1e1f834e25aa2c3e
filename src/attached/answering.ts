// Answers the processes of a launch. Which process asks is told by what its memory
// says, not by its number alone: that may be another PID namespace's.

import { ElfError } from "../../lib/elf/error.ts";
import { LinkError } from "../../lib/loader/error.ts";
import type { Libc } from "../../lib/loader/libc.ts";
import { type Address, toAddress } from "../../lib/memory/numbers.ts";
import { type Carrier, OtherProcess, UnreadableError } from "../../lib/process/other.ts";
import type { Channel } from "../agent/channel.ts";
import { Desk } from "../agent/code/connect.ts";
import { orders } from "../agent/conversation.ts";
import { Conversations } from "../agent/conversations.ts";
import type { Exchange } from "../agent/exchange.ts";
import { Kind, State } from "../agent/protocol.ts";
import { type Asker, type Conversation, line, Requests } from "../agent/requests.ts";
import type { Functions } from "../functions.ts";
import { attach } from "../passes/attach.ts";
import type { Trace } from "../trace.ts";
import { Attachment } from "./attachment.ts";
import type { LaunchFile } from "./launch-file.ts";
import { Site } from "./site.ts";

export class Answering extends Requests {
  readonly site: Site;
  /** Those that have been linked, by their number, and children that they have forked, by parent's number and process. */
  readonly #attachments = new Map<string, Attachment>();
  readonly #carriers = new Map<number, ExchangeCarrier>();
  readonly #conversations = new Conversations(this);
  #last = 0;

  /** `watch` is told of each process that asks. */
  constructor(
    readonly libc: Libc,
    readonly channel: Channel,
    file: LaunchFile,
    directory: string,
    trace: Trace,
    readonly watch: (pid: number) => void,
  ) {
    super(trace);
    this.site = new Site(libc, directory, file);
  }

  /** Goes on with what is asked in a slot. */
  advance(exchange: Exchange): void {
    if (exchange.state === State.left) {
      this.#conversations.forget(exchange);
      return;
    }
    const carrier = this.#carriers.get(exchange.request.pid);
    if (carrier) carrier.exchange = exchange;
    this.#conversations.advance(exchange);
  }

  functionsOf({ request: { pid } }: Exchange): Functions | undefined {
    return [...this.#attachments.values()].find(({ process }) => process.pid === pid)?.functions;
  }

  /** A process has ended. */
  ended(pid: number): void {
    this.#carriers.delete(pid);
    for (const [key, attachment] of this.#attachments) {
      if (attachment.process.pid !== pid) continue;
      attachment.close();
      this.#attachments.delete(key);
    }
    // Somebody else may have them.
    for (const exchange of this.channel.used) if (exchange.asker === pid) this.#conversations.forget(exchange);
  }

  /** What can wait until nobody asks. */
  *idle(): Generator<undefined> {
    for (const { search } of this.site.sources) {
      // Reading the tree's cache takes a while, the first time.
      search.find("libc.so.6", undefined);
      yield;
    }
  }

  protected askerOf(exchange: Exchange): Asker {
    const { token, pid } = exchange.request;
    const id = Attachment.idOf(token);
    const known = this.#attachments.get(`${id}`);
    if (!known) throw new UnreadableError(`Process ${pid} has never been linked`);
    if (known.process.pid === pid) return this.#refreshed(known);
    const key = `${id} ${pid}`;
    let child = this.#attachments.get(key);
    if (!child) {
      this.watch(pid);
      const process = this.#processOf(exchange, known.process.carrier as ExchangeCarrier | undefined);
      child = new Attachment(this.site, process, id, known.debug, known);
      this.#attachments.set(key, child);
    }
    return this.#refreshed(child);
  }

  #refreshed(attachment: Attachment): Attachment {
    attachment.process.refresh();
    return attachment;
  }

  protected *other(exchange: Exchange): Conversation {
    const { kind } = exchange.request;
    if (kind !== Kind.attach) throw new Error(`Cannot answer a request of kind ${kind}`);
    return yield* this.#attach(exchange);
  }

  *#attach(exchange: Exchange): Conversation {
    const { pid, a1, a2 } = exchange.request;
    const [desk, copy] = [toAddress(Number(a1)), toAddress(Number(a2))];
    this.watch(pid);
    const carrier = this.#carriers.get(pid) ?? new ExchangeCarrier(copy);
    carrier.exchange = exchange;
    this.#carriers.set(pid, carrier);
    const process = this.#processOf(exchange, carrier);
    const attachment = this.#attachmentOf(process, desk);
    try {
      yield* orders(exchange, attachment.functions, attach(attachment));
    } catch (error) {
      if (!(error instanceof LinkError || error instanceof ElfError)) throw error;
      yield [line(exchange, attachment.functions, error.message)];
    }
    return { what: "return", arguments: [0] };
  }

  /** Throws UnreadableError for a process that is not of this launch. */
  #attachmentOf(process: OtherProcess, at: Address): Attachment {
    const desk = Desk.at(process.memory.view(at, Desk.size));
    const [first, second] = this.site.file.nonce;
    if (`${desk.nonce0}` !== first || `${desk.nonce1}` !== second)
      throw new UnreadableError(`Process ${process.pid} is not the one that asks`);
    const id = desk.attachment;
    const known = this.#attachments.get(`${id}`);
    if (known && known.process.pid === process.pid) return this.#refreshed(known);
    // A child that was forked from one that had been linked, or a new program.
    const fresh = known
      ? new Attachment(this.site, process, id, desk.debug, known)
      : new Attachment(this.site, process, ++this.#last, desk.debug);
    this.#attachments.set(known ? `${id} ${process.pid}` : `${fresh.id}`, fresh);
    if (!known) fresh.sign(at);
    return fresh;
  }

  #processOf(exchange: Exchange, carrier: ExchangeCarrier | undefined): OtherProcess {
    const { pid } = exchange.request;
    return new OtherProcess(this.libc, pid, carrier, Bun.env.CAPSULE_MEMORY === "carried");
  }
}

/** Has the asking thread copy memory. */
class ExchangeCarrier implements Carrier {
  /** Where a thread of that process waits just now. */
  exchange: Exchange | undefined;

  constructor(readonly copy: Address) {}

  read(address: Address, into: Uint8Array): void {
    this.#carry("read", address, into);
  }

  write(address: Address, bytes: Uint8Array): void {
    this.#carry("write", address, bytes);
  }

  #carry(direction: "read" | "write", address: Address, bytes: Uint8Array): void {
    if (!this.exchange) throw new UnreadableError("Nobody of that process waits to carry its memory");
    this.exchange.carry(direction, this.copy, address, bytes);
  }
}
