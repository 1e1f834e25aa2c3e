// Answers the processes of a launch. Which process asks is told by what its memory
// says, not by its number alone: that may be another PID namespace's.

import { statSync } from "node:fs";
import { ElfError } from "../../lib/elf/error.ts";
import { LinkError } from "../../lib/loader/error.ts";
import type { Libc } from "../../lib/loader/libc.ts";
import { type Address, toAddress } from "../../lib/memory/numbers.ts";
import { type Carrier, OtherProcess, UnreadableError } from "../../lib/process/other.ts";
import { readAhead } from "../agent/answers.ts";
import type { Channel } from "../agent/channel.ts";
import { Desk } from "../agent/code/connect.ts";
import { orders } from "../agent/conversation.ts";
import { Conversations } from "../agent/conversations.ts";
import type { Exchange } from "../agent/exchange.ts";
import { Kind, State } from "../agent/protocol.ts";
import { type Asker, type Conversation, lentLine, Requests } from "../agent/requests.ts";
import { EXIT } from "../errors.ts";
import type { Functions } from "../functions.ts";
import { attach } from "../passes/attach.ts";
import type { Trace } from "../trace.ts";
import { Attachment, type DeskAddresses } from "./attachment.ts";
import type { LaunchFile } from "./launch-file.ts";
import { Site } from "./site.ts";

export class Answering extends Requests {
  readonly site: Site;
  /** Those that have been linked, by their number, and children that they have forked, by parent's number and process. */
  readonly #attachments = new Map<string, Attachment>();
  readonly #processes = new Map<number, AskingProcess>();
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
    this.#processes.get(exchange.request.pid)?.listenTo(exchange);
    this.#conversations.advance(exchange);
  }

  functionsOf({ request: { pid } }: Exchange): Functions | undefined {
    return [...this.#attachments.values()].find(({ process }) => process.pid === pid)?.functions;
  }

  /** Somebody has orders, and will say what came of them. */
  get isAmid(): boolean {
    return this.#conversations.isAmid;
  }

  /** A process has ended. */
  ended(pid: number): void {
    this.#processes.delete(pid);
    for (const [key, attachment] of this.#attachments) {
      if (attachment.process.pid !== pid) continue;
      attachment.close();
      if (attachment.parent) this.#attachments.delete(key);
      // Its number may be another's from now on.
      else attachment.process = new OtherProcess(this.libc, NOBODY);
    }
    // Somebody else may have them.
    for (const exchange of this.channel.used) if (exchange.asker === pid) this.#conversations.forget(exchange);
  }

  /** What can wait until nobody asks, once somebody has: reads what the host's libraries will probably open. */
  *idle(): Generator<undefined> {
    const capsules = [...this.#attachments.values()].at(-1)?.capsules ?? [];
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

  protected askerOf(exchange: Exchange): Asker {
    const { token, pid } = exchange.request;
    const id = Attachment.idOf(token);
    const known = this.#attachments.get(`${id}`);
    if (!known) throw new UnreadableError(`Process ${pid} has never been linked`);
    return this.#attachmentOf(exchange, known.desk);
  }

  protected *other(exchange: Exchange): Conversation {
    const { kind } = exchange.request;
    if (kind !== Kind.attach) throw new Error(`Cannot answer a request of kind ${kind}`);
    return yield* this.#attach(exchange);
  }

  *#attach(exchange: Exchange): Conversation {
    const { a0, a1, a2, a3, a4 } = exchange.request;
    const [shim, desk, copy, say, leave] = [a0, a1, a2, a3, a4].map((word) => toAddress(Number(word))) as [
      Address,
      Address,
      Address,
      Address,
      Address,
    ];
    let attachment: Attachment | undefined;
    try {
      attachment = this.#attachmentOf(exchange, { at: desk, copy });
      yield* orders(exchange, attachment.functions, attach(attachment, shim));
    } catch (error) {
      yield [{ what: "call", target: say, arguments: lentLine(exchange, reasonOf(error)) }];
      // What it was started with cannot be missing; a plug-in's library can.
      const isNeeded = attachment ? !attachment.isRunning : !(error instanceof LinkError);
      if (isNeeded) yield [{ what: "call", target: leave, arguments: [EXIT.failure] }];
    }
    return { what: "return", arguments: [0] };
  }

  /**
   * The process that asks: one that is known, a child that such a one has forked, or a new program. Throws UnreadableError for one
   * that is not of this launch, and as Attachment does.
   */
  #attachmentOf(exchange: Exchange, { at, copy }: Pick<DeskAddresses, "at" | "copy">): Attachment {
    const { pid, tid } = exchange.request;
    const process = this.#processOf(exchange, copy);
    const desk = Desk.at(process.memory.view(at, Desk.size));
    const [first, second] = this.site.file.nonce;
    if (`${desk.nonce0}` !== first || `${desk.nonce1}` !== second || statSync(`/proc/${tid}`).uid !== geteuid())
      throw new UnreadableError(`Process ${pid} is not the one that asks`);
    const { attachment: id, debug } = desk;
    const known = this.#attachments.get(`${id}`);
    const key = !known || known.process.pid === pid ? `${id}` : `${id} ${pid}`;
    const own = this.#attachments.get(key);
    if (own) return own;
    this.watch(pid);
    const fresh = new Attachment(this.site, process, known ? id : ++this.#last, { at, debug, copy }, known);
    this.#attachments.set(known ? key : `${fresh.id}`, fresh);
    if (!known) fresh.sign();
    return fresh;
  }

  #processOf(exchange: Exchange, copy: Address): OtherProcess {
    const { pid } = exchange.request;
    const known = this.#processes.get(pid) ?? new AskingProcess(this.libc, pid, copy);
    this.#processes.set(pid, known);
    known.listenTo(exchange);
    return known.process;
  }
}

/** No process has this number. */
const NOBODY = -1;

const geteuid = (): number | undefined => process.geteuid?.();

/** What is wrong with files, libraries, the process or the machine; a fault of ours says where it is. */
function reasonOf(error: unknown): string {
  const { code, message, stack } = error as NodeJS.ErrnoException;
  const isKnown = [LinkError, ElfError, UnreadableError].some((kind) => error instanceof kind);
  return isKnown || code !== undefined ? message : (stack ?? String(error));
}

/** A process of which one thread or another waits just now. That one lives, and carries memory where the kernel refuses it. */
class AskingProcess implements Carrier {
  readonly process: OtherProcess;
  #exchange: Exchange | undefined;

  /** `copy` is a function of its agent's. */
  constructor(
    libc: Libc,
    pid: number,
    readonly copy: Address,
  ) {
    this.process = new OtherProcess(libc, pid, this);
  }

  listenTo(exchange: Exchange): void {
    this.#exchange = exchange;
    this.process.task = exchange.request.tid;
    this.process.refresh();
  }

  read(address: Address, into: Uint8Array): void {
    this.#carry("read", address, into);
  }

  write(address: Address, bytes: Uint8Array): void {
    this.#carry("write", address, bytes);
  }

  #carry(direction: "read" | "write", address: Address, bytes: Uint8Array): void {
    if (!this.#exchange) throw new UnreadableError("Nobody of that process waits to carry its memory");
    this.#exchange.carry(direction, this.copy, address, bytes);
  }
}
