// Tells which of a launch's processes a request comes from, and links a process at its first request. Everything that
// a linked process asks, such as dlopen, is answered by server/answers.ts.

import { LinkError } from "../../lib/link-error.ts";
import { cString } from "../../lib/memory/live.ts";
import { type Address, toAddress } from "../../lib/memory/numbers.ts";
import { UnreadableError } from "../../lib/process/other.ts";
import type { Channel } from "../agent/channel.ts";
import { Kind, State } from "../agent/protocol.ts";
import type { Command, Slot } from "../agent/slot.ts";
import { accountOf, dataOf } from "../diagnostics/error-data.ts";
import { EXIT } from "../diagnostics/errors.ts";
import type { Functions } from "../passes/functions.ts";
import { readAllAhead } from "../server/read-ahead.ts";
import { type Client, Requests } from "../server/requests.ts";
import { byCommands, lentLine, type Session } from "../server/sessions.ts";
import { attach } from "./attach.ts";
import { Attachment } from "./attachment.ts";
import { Clients, isOfOtherNamespace } from "./clients.ts";
import { findObjection } from "./objections.ts";
import type { AttachedContext } from "./server-context.ts";

export class AttachedRequests extends Requests {
  readonly #clients: Clients;

  /** `watch` is called for each process that sends a request. */
  constructor(
    readonly context: AttachedContext,
    readonly channel: Channel,
    watch: (pid: number) => void,
  ) {
    super(context.trace);
    // Threads with pending requests no longer exist.
    this.#clients = new Clients(this.context, watch, (pid, slot) => this.#forget(pid, slot));
  }

  override advance(slot: Slot): void {
    if (slot.state !== State.left) this.#clients.hear(slot);
    super.advance(slot);
    this.#clients.answered();
  }

  functionsOf(slot: Slot): Functions | undefined {
    return this.#clients.find(slot)?.functions;
  }

  /** Call when a process has ended. */
  ended(pid: number): void {
    this.#clients.ended(pid);
    this.#forget(pid);
  }

  /** A process's slots may go to another process from now on. */
  #forget(pid: number, except?: Slot): void {
    const isGone = (holder: number) => holder === pid && !isOfOtherNamespace(pid);
    for (const slot of this.channel.slots) if (slot !== except) this.sessions.reclaim(slot, isGone);
  }

  sweep(): boolean {
    const { system } = this.context.libc;
    return this.sessions.sweep(
      this.channel.slots,
      (pid) => system.isAlive(pid) || isOfOtherNamespace(pid),
      (pid) => this.#clients.isKnown(pid),
    );
  }

  /** Idle work after the first request. */
  idle(): Generator<undefined> {
    return readAllAhead(this.#clients.newest?.capsules ?? [], this.context.store, this.trace);
  }

  protected clientOf(slot: Slot): Client {
    return this.#clients.of(slot, this.#clients.controlBlockOf(Attachment.idOf(slot.request.token)));
  }

  protected *other(slot: Slot): Session {
    const { kind } = slot.request;
    if (kind === Kind.check) return this.#check(slot);
    if (kind !== Kind.attach) throw new Error(`Cannot answer a request of kind ${kind}`);
    return yield* this.#attach(slot);
  }

  /** A dlopen loads the first shims: it fails if their libraries are unavailable. */
  #check(slot: Slot): Command {
    const { a1, a2, a3, pid } = slot.request;
    const passed: Command = { what: "return", arguments: [0] };
    const begun = performance.now();
    try {
      const [at, copy] = [a1, a2].map((word) => toAddress(Number(word))) as [Address, Address];
      const attachment = this.#clients.of(slot, { at, copy });
      const objection = findObjection(attachment, a3 !== 0n);
      this.trace.log("request", () => `process ${pid}: shims, checked in ${Math.round(performance.now() - begun)} ms`);
      if (!objection) return passed;
      const { object, text, errno } = objection;
      this.trace.log("request", () => `process ${pid}: glibc is to refuse them: ${object}: ${text}`);
      const raise = attachment.findSymbol("_dl_signal_error");
      const [subject, reason] = [object, text].map((one) => attachment.keep(one));
      if (raise === undefined || subject === undefined || reason === undefined) return passed;
      return { what: "jump", target: raise, arguments: [errno, subject, 0, reason] };
    } catch (error) {
      // Linking will meet the same error, and reports it.
      this.trace.log("request", () => `process ${pid}: not checked: ${reasonOf(error)}`);
      return passed;
    }
  }

  *#attach(slot: Slot): Session {
    const { a0, a1, a2, a3, a4, returnAddress } = slot.request;
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
      const identified = this.#clients.identify(slot, controlBlock, copy);
      const missing = this.#clients.missingLibdl(identified);
      const file = missing && slot.lend(cString(missing.file))?.at;
      if (missing && file !== undefined)
        yield [{ what: "call", target: missing.open, arguments: [file, missing.mode] }];
      // It may have loaded libraries meanwhile.
      const asking = this.#clients.of(slot, { at: controlBlock, copy }, missing ? undefined : identified);
      attachment = asking;
      const linked = yield* byCommands(slot, asking.functions, attach(asking, shim, returnAddress), (path) =>
        asking.asItIs(path),
      );
      if (!linked) return { what: "return", arguments: [0] };
      const { pid } = slot.request;
      const duration = performance.now() - begun;
      this.trace.emit(() => ({ event: "linked", pid, program: attachment?.program.path ?? "", ...linked, duration }));
    } catch (error) {
      yield [{ what: "call", target: say, arguments: lentLine(slot, reasonOf(error)) }];
      // A startup dependency must not be missing; a plug-in's library may.
      const isNeeded = attachment ? !attachment.isRunning : !(error instanceof LinkError);
      const { pid } = slot.request;
      this.trace.emit(() => ({ event: "failed", pid, isFatal: isNeeded, error: dataOf(error) }));
      if (isNeeded) yield [{ what: "call", target: leave, arguments: [EXIT.failure] }];
    }
    return { what: "return", arguments: [0] };
  }
}

const reasonOf = (error: unknown): string => (error instanceof UnreadableError ? error.message : accountOf(error));
