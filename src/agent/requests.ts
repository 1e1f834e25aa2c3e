// What is asked, kind by kind, and what the asking thread is told to do.

import { readlinkSync } from "node:fs";
import { ElfError } from "../../lib/elf/error.ts";
import { LinkError } from "../../lib/loader/error.ts";
import { cString } from "../../lib/memory/live.ts";
import { type Address, toAddress } from "../../lib/memory/numbers.ts";
import { OtherProcess } from "../../lib/process/other.ts";
import type { Linking, Process } from "../../lib/process/process.ts";
import type { Tree } from "../../lib/tree/tree.ts";
import { capsuleOf } from "../passes/expose.ts";
import { COMPANIONS } from "../profiles/profiles.ts";
import { type Answer, answerCapsule, answerProgram, missing, objectAt, type Question } from "./answers.ts";
import { type Orders, orders } from "./conversation.ts";
import { deathNotice } from "./death.ts";
import type { Exchange, Instruction } from "./exchange.ts";
import type { Knowledge } from "./knowledge.ts";
import { isolatedNeedsOf, programFile, programOfCommand } from "./outside.ts";
import { Kind, SCRATCH_SIZE } from "./protocol.ts";
import { BunThreads } from "./threads.ts";

/** The last orders of a conversation end it. */
export type Conversation = Orders<Instruction>;

export class Requests {
  /** Programs that have been run outside, and complaints. */
  readonly #seen = new Set<string>();
  readonly #bunThreads = new BunThreads();

  constructor(readonly knowledge: Knowledge) {}

  /** One request, from its first word to the last order. */
  *answer(exchange: Exchange): Conversation {
    const { kind, pid, tid } = exchange.request;
    const { libc } = this.knowledge.channels.own;
    const isOwn = exchange.channel === this.knowledge.channels.own;
    const process: Process = isOwn ? libc : new OtherProcess(libc, pid);
    switch (kind & 0xff) {
      case Kind.dlopen:
      case Kind.dlmopen:
        return yield* this.#open(exchange, process);
      case Kind.file:
      case Kind.link:
        return yield* this.#file(exchange, process);
      case Kind.run:
      case Kind.shell:
        return yield* this.#run(exchange, process);
      case Kind.leave:
        // In a forked child there is nobody but the program's own threads, and glibc counts them.
        return {
          what: "return",
          arguments: [isOwn && !this.#bunThreads.hasOthers(tid) ? 1 : 0],
        };
      case Kind.death:
        return yield* this.#death(exchange, process);
      default:
        throw new Error(`Cannot answer a request of kind ${kind}`);
    }
  }

  *#open(exchange: Exchange, process: Process): Conversation {
    const { kind, a0, a1, a2, returnAddress, pid, tid, token } = exchange.request;
    const isDlmopen = kind === Kind.dlmopen;
    const [file, mode] = isDlmopen ? [a1, a2] : [a0, a1];
    const { functions } = this.knowledge.state;
    const question: Question = {
      file: process.stringAt(toAddress(Number(file))),
      mode: Number(BigInt.asIntN(32, mode)),
      namespace: isDlmopen ? Number(BigInt.asIntN(64, a0)) : undefined,
      thread: tid,
      returnAddress,
    };
    this.knowledge.trace.tell(
      "request",
      () => `${whose(token)}: ${isDlmopen ? "dlmopen" : "dlopen"} "${question.file}" (pid ${pid}, thread ${tid})`,
    );
    const answer = yield* orders(exchange, functions, this.#opened(token, process, question));
    if (answer.complaint !== undefined && !this.#seen.has(answer.complaint)) {
      this.#seen.add(answer.complaint);
      yield* this.#say(exchange, answer.complaint);
    }
    if ("handle" in answer) {
      this.knowledge.trace.tell("request", () => `"${question.file}": ${answer.handle === 0 ? "it fails" : "opened"}`);
      return { what: "return", arguments: [answer.handle] };
    }
    if (answer.open !== question.file)
      this.knowledge.trace.tell("request", () => `"${question.file}": goes on as "${answer.open}"`);
    const name = answer.open === question.file ? file : exchange.channel.intern(answer.open);
    const going = (path: bigint | Address) =>
      isDlmopen
        ? { target: functions.dlmopen, arguments: [a0, path, mode] }
        : { target: functions.dlopen, arguments: [path, mode] };
    if (name !== undefined) return { what: "jump", ...going(name) };
    // No room for another name that stays: the call is made from here, which only a "$ORIGIN" could tell.
    const [handle = 0n] = yield [{ what: "call", ...going(exchange.lend(cString(answer.open))?.at ?? toAddress(0)) }];
    return { what: "return", arguments: [handle] };
  }

  /** What is there in the host tree is taken from there. */
  *#file(exchange: Exchange, process: Process): Conversation {
    const { kind, target, token } = exchange.request;
    const list = argumentsOf(exchange);
    const index = kind >> 8;
    const path = process.stringAt(toAddress(Number(list[index])));
    const { capsules } = this.knowledge.own;
    const capsule = capsules.find((each) => each.token === token);
    const found = capsule && resolved(capsule.search.tree, path, (kind & 0xff) === Kind.file);
    this.knowledge.trace.tell(
      "request",
      () => `${whose(token)}: file "${path}", ${found ?? "not in its tree, so the machine's"}`,
    );
    if (found === undefined) return { what: "jump", target, arguments: list };
    const at = exchange.channel.intern(found);
    list[index] = BigInt(at ?? exchange.lend(cString(found))?.at ?? 0);
    if (at !== undefined) return { what: "jump", target, arguments: list };
    // No room for another name that stays.
    const [result = 0n] = yield [{ what: "call", target, arguments: list }];
    return { what: "return", arguments: [result] };
  }

  /** It is run as it is; the user hears of it once, if that makes a difference. */
  *#run(exchange: Exchange, asking: Process): Conversation {
    const { kind, target, pid, token } = exchange.request;
    const list = argumentsOf(exchange);
    const isShell = kind === Kind.shell;
    const text = asking.stringAt(toAddress(Number(list[isShell ? 0 : kind >> 8])));
    const name = isShell ? programOfCommand(text) : text;
    const file = name && programFile(name, readlinkSync(`/proc/${pid}/cwd`), Bun.env.PATH ?? "");
    this.knowledge.trace.tell("request", () => `${whose(token)}: runs "${text}", outside of the capsule`);
    if (file && !this.#seen.has(file)) {
      this.#seen.add(file);
      const { launch, capsules } = this.knowledge.own;
      const needed = isolatedNeedsOf(file, launch.runtime, (soname) => capsuleOf(capsules, soname) !== undefined);
      const missed = needed.filter((soname) => !COMPANIONS.has(soname)).join(", ");
      if (missed !== "")
        yield* this.#say(exchange, `"${file}" runs outside of the capsule: it gets the runtime's own ${missed}`);
    }
    return { what: "jump", target, arguments: list };
  }

  *#death(exchange: Exchange, process: Process): Conversation {
    const { a0: signal, a2: context } = exchange.request;
    const notice = deathNotice(
      process,
      this.knowledge.of(process).capsules,
      this.knowledge.shared,
      Number(signal),
      toAddress(Number(context)),
    );
    if (notice !== undefined) yield* this.#say(exchange, notice);
    return { what: "return", arguments: [0] };
  }

  *#say(exchange: Exchange, text: string): Orders<void> {
    yield [this.write(exchange, text)];
  }

  /** Writes a line to standard error: the server has no descriptors. */
  write(exchange: Exchange, text: string): Instruction {
    const bytes = new TextEncoder().encode(`capsule: ${text}`.slice(0, SCRATCH_SIZE / 4).concat("\n"));
    const at = exchange.lend(bytes)?.at ?? toAddress(0);
    return { what: "call", target: this.knowledge.state.functions.write, arguments: [2, at, bytes.length] };
  }

  *#opened(token: number, process: Process, question: Question): Linking<Answer & { complaint?: string }> {
    const { launch, capsules } = this.knowledge.of(process);
    const capsule = capsules.find((each) => each.token === token);
    if (launch.trace.has("request")) {
      const asker = yield* objectAt(launch, question.returnAddress);
      launch.trace.tell("request", () => `asked by ${asker ?? "code of no object"}`);
    }
    try {
      if (capsule) return yield* answerCapsule(launch, capsule, question);
      const { path } = this.knowledge.state.program;
      const program = { library: launch.runtime.libraryAt(path), image: path };
      return yield* answerProgram(launch, capsules, program, question);
    } catch (error) {
      // Without all that it needs a library is not opened: glibc would search for the rest in the wrong tree.
      const search = (capsule ?? capsules[0])?.search ?? launch.runtime;
      if (error instanceof LinkError || error instanceof ElfError) {
        this.knowledge.trace.tell("request", () => error.message);
        const object = error instanceof LinkError ? error.details.object : error.path;
        return { open: missing(search, object ?? question.file) };
      }
      // Nothing can be written any more: the user has to hear of it, as dlerror() cannot say it.
      const { code, message } = error as NodeJS.ErrnoException;
      if (code === undefined) throw error;
      return { open: missing(search, question.file), complaint: `Cannot open "${question.file}": ${message}` };
    }
  }
}

/** As messages name who asks. */
const whose = (token: number): string => (token === 0 ? "program" : `capsule ${token}`);

function argumentsOf({ request: { a0, a1, a2, a3, a4, a5 } }: Exchange): bigint[] {
  return [a0, a1, a2, a3, a4, a5];
}

/** Undefined for what the tree does not have, has a link for that leads nowhere, or does not let us see. */
function resolved(tree: Tree, path: string, follows: boolean): string | undefined {
  try {
    return follows ? tree.resolve(path) : tree.resolveLink(path);
  } catch (error) {
    if (error instanceof LinkError || (error as NodeJS.ErrnoException).code !== undefined) return undefined;
    throw error;
  }
}
