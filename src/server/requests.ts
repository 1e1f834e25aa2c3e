// The requests of linked processes, kind by kind, and what the asking thread is told to do.

import { readlinkSync } from "node:fs";
import { ElfError } from "../../lib/elf/error.ts";
import { LinkError } from "../../lib/link-error.ts";
import { LM_ID_BASE } from "../../lib/loader/calls.ts";
import { cString } from "../../lib/memory/live.ts";
import { type Address, toAddress } from "../../lib/memory/numbers.ts";
import type { Linking } from "../../lib/process/process.ts";
import type { Tree } from "../../lib/tree/tree.ts";
import { SystemFault, unless, unlessRefused } from "../../lib/unless.ts";
import { Kind, State } from "../agent/protocol.ts";
import type { Slot } from "../agent/slot.ts";
import type { Trace } from "../diagnostics/trace.ts";
import type { Functions } from "../passes/functions.ts";
import type { Linkage } from "../passes/linkage.ts";
import { type Answer, answerCapsule, answerProgram, objectAt, type Question } from "./answers.ts";
import { deathNotice } from "./death.ts";
import { missing, refused } from "./refusals.ts";
import { byCommands, type Commands, line, type Session, Sessions } from "./sessions.ts";

/** The asking process, and what has been opened there. */
export interface Client {
  readonly linkage: Linkage;
  /** Files of the shared set, as in /proc/PID/maps. */
  readonly sharedFiles: ReadonlySet<string>;
  /** The form of a path that glibc opens as it is: see AS_IT_IS. */
  asItIs(path: string): string;
  /** A C string that stays in that process. Undefined when there is no room left. */
  keep(text: string): Address | undefined;
}

export abstract class Requests {
  /** Complaints, each made once. */
  readonly #complaints = new Set<string>();
  protected readonly sessions = new Sessions(this);

  constructor(readonly trace: Trace) {}

  /** Throws UnreadableError if the client cannot be identified or read. */
  protected abstract clientOf(slot: Slot): Client;

  /** Requests of other kinds. */
  protected abstract other(slot: Slot): Session;

  /** The functions of the asking process, if they are known. */
  abstract functionsOf(slot: Slot): Functions | undefined;

  /** Frees the slots of processes that died. Returns whether there are others that may, and nobody would tell. */
  abstract sweep(): boolean;

  /** Whether a client is executing commands and will report the result. */
  get isAmid(): boolean {
    return this.sessions.isAmid;
  }

  /** Advances the request in a slot. */
  advance(slot: Slot): void {
    if (slot.state === State.left) this.sessions.forget(slot);
    else this.sessions.advance(slot);
  }

  /** One request, from its first word to the last command. */
  *answer(slot: Slot): Session {
    switch (slot.request.kind & 0xff) {
      case Kind.dlopen:
      case Kind.dlmopen:
        return yield* this.#open(slot, this.clientOf(slot));
      case Kind.file:
      case Kind.link:
        return yield* this.#file(slot, this.clientOf(slot));
      case Kind.death:
        return yield* this.#death(slot, this.clientOf(slot));
      default:
        return yield* this.other(slot);
    }
  }

  *#open(slot: Slot, client: Client): Session {
    const { kind, a0, a1, a2, returnAddress, pid, tid, token } = slot.request;
    const { process, functions } = client.linkage;
    const isDlmopen = kind === Kind.dlmopen;
    const [file, mode] = isDlmopen ? [a1, a2] : [a0, a1];
    const question: Question = {
      file: process.stringAt(toAddress(Number(file))),
      mode: Number(BigInt.asIntN(32, mode)),
      namespace: isDlmopen ? Number(BigInt.asIntN(64, a0)) : undefined,
      thread: tid,
      returnAddress,
    };
    this.trace.log(
      "request",
      () => `${whose(token)}: ${isDlmopen ? "dlmopen" : "dlopen"} "${question.file}" (pid ${pid}, thread ${tid})`,
    );
    const answer = yield* byCommands(slot, functions, this.#opened(client.linkage, token, question), (path) =>
      client.asItIs(path),
    );
    this.trace.emit(() => ({
      ...{ event: "request", pid, kind: isDlmopen ? "dlmopen" : "dlopen", name: question.file },
      ...{ host: hostOf(client.linkage, token), path: "open" in answer ? answer.open : undefined },
    }));
    if (answer.complaint !== undefined) yield* this.sayOnce(slot, functions, answer.complaint);
    if ("handle" in answer) {
      this.trace.log("request", () => `"${question.file}": ${answer.handle === 0 ? "it fails" : "opened"}`);
      return { what: "return", arguments: [answer.handle] };
    }
    if (answer.open !== question.file)
      this.trace.log("request", () => `"${question.file}": goes on as "${answer.open}"`);
    const open = client.asItIs(answer.open);
    const name = answer.open === question.file ? file : client.keep(open);
    const going = (path: bigint | Address) =>
      isDlmopen
        ? { target: functions.dlmopen, arguments: [a0, path, mode] }
        : { target: functions.dlopen, arguments: [path, mode] };
    if (name !== undefined) return { what: "jump", ...going(name) };
    // No room for another name that stays: the agent makes the call, a difference that only "$ORIGIN" could show.
    const [handle = 0n] = yield [{ what: "call", ...going(slot.lend(cString(open))?.at ?? toAddress(0)) }];
    return { what: "return", arguments: [handle] };
  }

  /** A file that the host tree has is taken from there. */
  *#file(slot: Slot, client: Client): Session {
    const { linkage } = client;
    const { kind, target, token } = slot.request;
    const list = argumentsOf(slot);
    const index = kind >> 8;
    const path = linkage.process.stringAt(toAddress(Number(list[index])));
    const capsule = linkage.capsules.find((each) => each.token === token);
    const found = capsule && resolved(capsule.search.tree, path, (kind & 0xff) === Kind.file);
    this.trace.log("request", () => `${whose(token)}: file "${path}", ${found ?? "not in its tree, so the machine's"}`);
    const { pid } = slot.request;
    this.trace.emit(() => ({
      ...{ event: "request", pid, kind: "file", host: hostOf(linkage, token), name: path, path: found },
    }));
    if (found === undefined) return { what: "jump", target, arguments: list };
    const at = client.keep(found);
    list[index] = BigInt(at ?? slot.lend(cString(found))?.at ?? 0);
    if (at !== undefined) return { what: "jump", target, arguments: list };
    // No room for another name that stays.
    const [result = 0n] = yield [{ what: "call", target, arguments: list }];
    return { what: "return", arguments: [result] };
  }

  *#death(slot: Slot, { linkage, sharedFiles }: Client): Session {
    const { a0: signal, a2: context } = slot.request;
    const notice = deathNotice(
      linkage.process,
      linkage.capsules,
      sharedFiles,
      Number(signal),
      toAddress(Number(context)),
    );
    if (notice !== undefined) yield [line(slot, linkage.functions, notice)];
    return { what: "return", arguments: [0] };
  }

  /** Tells the user, once. */
  protected *sayOnce(slot: Slot, functions: Functions, text: string): Commands<void> {
    if (this.#complaints.has(text)) return;
    this.#complaints.add(text);
    yield [line(slot, functions, text)];
  }

  *#opened(linkage: Linkage, token: number, question: Question): Linking<Answer & { complaint?: string }> {
    const { capsules } = linkage;
    const capsule = capsules.find((each) => each.token === token);
    if (linkage.trace.has("request")) {
      const client = yield* objectAt(linkage, question.returnAddress);
      linkage.trace.log("request", () => `asked by ${client ?? "code of no object"}`);
    }
    const cwd = () =>
      unlessRefused(() => readlinkSync(`/proc/${linkage.process.pid}/task/${question.thread}/cwd`)) ?? process.cwd();
    for (const search of capsule ? [linkage.runtime, capsule.search] : [linkage.runtime]) search.cwd = cwd;
    try {
      if (capsule) return yield* answerCapsule(linkage, capsule, question);
      const { path } = linkage.program;
      const program = { library: linkage.runtime.libraryAt(path), image: path };
      return yield* answerProgram(linkage, capsules, program, question);
    } catch (error) {
      // A library is not opened without all that it needs: glibc would search for the rest in the wrong tree.
      const search = (capsule ?? capsules[0])?.search ?? linkage.runtime;
      if (error instanceof LinkError || error instanceof ElfError) {
        this.trace.log("request", () => error.message);
        return yield* refused(linkage, search, capsule?.namespace ?? LM_ID_BASE, question.file, error);
      }
      // Nothing can be written any more: the user has to be told, as dlerror() cannot say it.
      const { code, message, path } = error as NodeJS.ErrnoException;
      if (code === undefined) throw error;
      // A file was removed meanwhile.
      if (path !== undefined && code === "ENOENT") return { open: missing(search, path) };
      return { open: missing(search, question.file), complaint: `Cannot open "${question.file}": ${message}` };
    }
  }
}

/** The host tree of the asking library; undefined for the program. */
const hostOf = ({ capsules }: Linkage, token: number): string | undefined =>
  capsules.find((capsule) => capsule.token === token)?.search.tree.name;

/** The requester, as messages name it. */
export const whose = (token: number): string => (token === 0 ? "program" : `capsule ${token}`);

export function argumentsOf({ request: { a0, a1, a2, a3, a4, a5 } }: Slot): bigint[] {
  return [a0, a1, a2, a3, a4, a5];
}

/** Undefined if the tree does not have it, has a dangling link there, or does not let us see it. */
function resolved(tree: Tree, path: string, follows: boolean): string | undefined {
  return unless([LinkError, SystemFault], () => (follows ? tree.resolve(path) : tree.resolveLink(path)));
}
