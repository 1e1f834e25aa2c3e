// Answers the agents, in a Worker while the program owns the main thread. It reads
// files and, of what it has opened itself, memory; everything that takes the
// loader's lock it has the asking thread do. So threads may ask while others are
// inside the loader, and a request may lead to another.
//
// It never goes back to Bun's event loop: the descriptors of that are closed by
// now, or the program's.

import { readlinkSync, writeSync } from "node:fs";
import { ElfError } from "../../lib/elf/error.ts";
import { LinkError } from "../../lib/loader/error.ts";
import { Libc } from "../../lib/loader/libc.ts";
import { LoadedObject } from "../../lib/loader/link-map.ts";
import { bytesAt, cString } from "../../lib/memory/live.ts";
import { type Address, toAddress } from "../../lib/memory/numbers.ts";
import { OtherProcess, UnreadableError } from "../../lib/process/other.ts";
import type { Linking, Process } from "../../lib/process/process.ts";
import { LibraryStore } from "../../lib/tree/library-store.ts";
import { Search } from "../../lib/tree/search.ts";
import { Tree } from "../../lib/tree/tree.ts";
import type { Capsule, Functions, Launch } from "../launch.ts";
import { Ownership } from "../ownership.ts";
import { capsuleOf } from "../passes/expose.ts";
import { FileList, PrivateDirectory, removeStale } from "../private-directory.ts";
import { COMPANIONS } from "../profiles/profiles.ts";
import { type Category, Trace } from "../trace.ts";
import { type Answer, answerCapsule, answerProgram, missing, type Question, readAhead } from "./answers.ts";
import { Channel, type Exchange, type Instruction } from "./channel.ts";
import { type Orders, orders } from "./conversation.ts";
import { deathNotice } from "./death.ts";
import { isolatedNeedsOf, programFile, programOfCommand } from "./outside.ts";
import { Kind, SCRATCH_SIZE, State } from "./protocol.ts";
import { BunThreads } from "./threads.ts";

/** What the server knows of a capsule. Objects are given as the addresses of their link_maps. */
export interface CapsuleState {
  readonly root: string;
  readonly token: number;
  readonly namespace: number;
  readonly isolated: readonly string[];
  /** See Ownership. */
  readonly newest: readonly string[];
  readonly others: readonly string[];
  readonly overrides: readonly (readonly [name: string, address: Address])[];
  readonly iterateHere: Address;
  readonly mirrors: readonly (readonly [soname: string, linkMap: number])[];
  readonly opened: readonly (readonly [path: string, linkMap: number])[];
  readonly shims: readonly (readonly [soname: string, linkMap: number])[];
}

export interface ServerState {
  readonly pid: number;
  readonly directory: string;
  readonly files: number;
  readonly trace: readonly Category[];
  readonly libraryPath: readonly string[];
  /** Where what is known of libraries is kept. */
  readonly store: string | undefined;
  readonly shared: readonly (readonly [soname: string, file: string])[];
  /** The files of the shared set that are loaded. */
  readonly sharedFiles: readonly string[];
  readonly functions: Functions;
  readonly capsules: readonly CapsuleState[];
  /** For each capsule, what its libraries will probably open. */
  readonly ahead: readonly (readonly string[])[];
  readonly program: { readonly path: string };
}

/** The last orders of a conversation end it. */
type Conversation = Orders<Instruction>;

/** How long to sleep while a process may die that has asked, in milliseconds. */
const WATCH = 1000;

class Server {
  readonly #libc: Libc;
  readonly #channel: Channel;
  readonly #conversations = new Map<Exchange, Conversation>();
  readonly #trees = new Map<string, { search: Search; ownership: Ownership }>();
  readonly #store: LibraryStore;
  readonly #runtime: Search;
  readonly #trace: Trace;
  readonly #directory: PrivateDirectory;
  /** Programs that have been run outside, and complaints. */
  readonly #seen = new Set<string>();
  /** Files of the shared set. */
  readonly #shared: ReadonlySet<string>;
  readonly #bunThreads: BunThreads;
  #own: { launch: Launch; capsules: Capsule[] };

  constructor(
    channel: Channel,
    public state: ServerState,
  ) {
    this.#channel = channel;
    this.#libc = channel.libc;
    this.#trace = new Trace(state.trace);
    this.#directory = new PrivateDirectory(state.directory, new FileList(this.#libc, toAddress(state.files)));
    this.#store = new LibraryStore(state.store);
    this.#runtime = new Search(new Tree("", true), state.libraryPath, this.#store);
    this.#shared = new Set(state.sharedFiles);
    this.#bunThreads = new BunThreads(this.#libc.threadId);
    this.#own = this.#linkedIn(this.#libc, state);
  }

  /** The main thread has opened more; what was opened here meanwhile, for a constructor, stays known. */
  update(state: ServerState): void {
    const before = this.#own.capsules;
    this.state = state;
    this.#own = this.#linkedIn(this.#libc, state);
    for (const [index, capsule] of this.#own.capsules.entries())
      for (const kind of ["mirrors", "opened", "shims"] as const)
        for (const [name, object] of before[index]?.[kind] ?? []) capsule[kind].set(name, object);
  }

  /** Goes on with a conversation, from the request or from the results of the last orders. */
  advance(exchange: Exchange): void {
    const before = exchange.state;
    try {
      let conversation = this.#conversations.get(exchange);
      if (before === State.asked || !conversation) conversation = this.#converse(exchange);
      this.#conversations.set(exchange, conversation);
      const count = before === State.asked ? 0 : exchange.ordered;
      const step = conversation.next(exchange.results(count));
      if (step.done) this.#conversations.delete(exchange);
      this.#order(exchange, before, step.done ? [step.value] : step.value);
    } catch (error) {
      this.#conversations.delete(exchange);
      // Its memory is out of reach: it has to do without us.
      if (error instanceof UnreadableError) {
        this.#order(exchange, before, [{ what: "fail", arguments: [] }]);
        return;
      }
      // A fault of ours: nobody else would show it.
      const text = this.#write(exchange, String(error instanceof Error ? error.stack : error));
      this.#order(exchange, before, [text, { what: "fail", arguments: [] }]);
    }
  }

  #order(exchange: Exchange, before: number, instructions: readonly Instruction[]): void {
    if (!exchange.order(before, instructions)) this.forget(exchange);
  }

  /** Nobody waits in this slot any more. */
  forget(exchange: Exchange): void {
    this.#conversations.delete(exchange);
    exchange.free();
  }

  /** Frees the slots of processes that have died in the middle. Returns when to look again, in milliseconds. */
  watch(): number | undefined {
    let isWatched = false;
    for (const exchange of this.#channel.exchanges) {
      const asker = exchange.asker;
      if (asker === undefined || asker === this.state.pid) continue;
      if (this.#libc.isAlive(asker)) isWatched = true;
      else this.forget(exchange);
    }
    return isWatched ? WATCH : undefined;
  }

  /** What can wait until nobody asks, piece by piece: reads ahead a library with its dependencies at a time. */
  *idle(): Generator<undefined> {
    for (const [index, names] of this.state.ahead.entries()) {
      for (const name of names) {
        const capsule = this.#own.capsules[index];
        if (capsule) readAhead(capsule, name);
        yield;
      }
    }
    this.saveStore();
    yield;
    removeStale();
  }

  /** Keeps for the next run what this one has found out about libraries. */
  saveStore(): void {
    const reason = this.#store.save();
    if (reason !== undefined) this.#trace.tell("plan", () => `the store of libraries was not written: ${reason}`);
  }

  *#converse(exchange: Exchange): Conversation {
    const { kind, pid, tid } = exchange.request;
    const process: Process = pid === this.state.pid ? this.#libc : new OtherProcess(this.#libc, pid);
    switch (kind & 0xff) {
      case Kind.dlopen:
      case Kind.dlmopen:
        return yield* this.#open(exchange, process);
      case Kind.file:
      case Kind.link:
        return this.#file(exchange, process);
      case Kind.run:
      case Kind.shell:
        return yield* this.#run(exchange, process);
      case Kind.leave:
        // In a forked child there is nobody but the program's own threads, and glibc counts them.
        return { what: "return", arguments: [pid === this.state.pid && !this.#bunThreads.hasOthers(tid) ? 1 : 0] };
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
    const { functions } = this.state;
    const question: Question = {
      file: process.stringAt(toAddress(Number(file))),
      mode: Number(BigInt.asIntN(32, mode)),
      namespace: isDlmopen ? Number(BigInt.asIntN(64, a0)) : undefined,
      thread: tid,
      returnAddress,
    };
    this.#trace.tell(
      "request",
      () => `${whose(token)}: ${isDlmopen ? "dlmopen" : "dlopen"} "${question.file}" (pid ${pid}, thread ${tid})`,
    );
    const answer = yield* orders(exchange, functions, this.#answer(token, process, question));
    if (answer.complaint !== undefined && !this.#seen.has(answer.complaint)) {
      this.#seen.add(answer.complaint);
      yield* this.#say(exchange, answer.complaint);
    }
    if ("handle" in answer) {
      this.#trace.tell("request", () => `"${question.file}": ${answer.handle === 0 ? "it fails" : "opened"}`);
      return { what: "return", arguments: [answer.handle] };
    }
    if (answer.open !== question.file)
      this.#trace.tell("request", () => `"${question.file}": goes on as "${answer.open}"`);
    const name = answer.open === question.file ? file : this.#channel.intern(answer.open);
    const going = (path: bigint | Address) =>
      isDlmopen
        ? { target: functions.dlmopen, arguments: [a0, path, mode] }
        : { target: functions.dlopen, arguments: [path, mode] };
    if (name !== undefined) return { what: "jump", ...going(name) };
    // No room for another name that stays: the call is made from here, which only a "$ORIGIN" could tell.
    const [handle = 0n] = yield [{ what: "call", ...going(exchange.lend(cString(answer.open)) ?? toAddress(0)) }];
    return { what: "return", arguments: [handle] };
  }

  /** What is there in the host tree is taken from there. */
  #file(exchange: Exchange, process: Process): Instruction {
    const { kind, target, token } = exchange.request;
    const list = argumentsOf(exchange);
    const index = kind >> 8;
    const path = process.stringAt(toAddress(Number(list[index])));
    const capsule = this.#own.capsules.find((each) => each.token === token);
    const found = capsule && resolved(capsule.search.tree, path, (kind & 0xff) === Kind.file);
    this.#trace.tell(
      "request",
      () => `${whose(token)}: file "${path}", ${found ?? "not in its tree, so the machine's"}`,
    );
    const at = found && this.#channel.intern(found);
    if (at !== undefined) list[index] = BigInt(at);
    return { what: "jump", target, arguments: list };
  }

  /** It is run as it is; the user hears of it once, if that makes a difference. */
  *#run(exchange: Exchange, asking: Process): Conversation {
    const { kind, target, pid, token } = exchange.request;
    const list = argumentsOf(exchange);
    const isShell = kind === Kind.shell;
    const text = asking.stringAt(toAddress(Number(list[isShell ? 0 : kind >> 8])));
    const name = isShell ? programOfCommand(text) : text;
    const file = name && programFile(name, readlinkSync(`/proc/${pid}/cwd`), Bun.env.PATH ?? "");
    this.#trace.tell("request", () => `${whose(token)}: runs "${text}", outside of the capsule`);
    if (file && !this.#seen.has(file)) {
      this.#seen.add(file);
      const { launch, capsules } = this.#own;
      const needed = isolatedNeedsOf(file, launch.runtime, (soname) => capsuleOf(capsules, soname) !== undefined);
      const missed = needed.filter((soname) => !COMPANIONS.has(soname)).join(", ");
      if (missed !== "")
        yield* this.#say(exchange, `"${file}" runs outside of the capsule: it gets the runtime's own ${missed}`);
    }
    return { what: "jump", target, arguments: list };
  }

  *#death(exchange: Exchange, process: Process): Conversation {
    const { a0: signal, a2: context } = exchange.request;
    const notice = deathNotice(process, this.#own.capsules, this.#shared, Number(signal), toAddress(Number(context)));
    if (notice !== undefined) yield* this.#say(exchange, notice);
    return { what: "return", arguments: [0] };
  }

  /** Has the asking thread write a line to standard error: this thread has no descriptors. */
  *#say(exchange: Exchange, text: string): Orders<void> {
    yield [this.#write(exchange, text)];
  }

  #write(exchange: Exchange, text: string): Instruction {
    const bytes = new TextEncoder().encode(`capsule: ${text}`.slice(0, SCRATCH_SIZE / 4).concat("\n"));
    const at = exchange.lend(bytes) ?? toAddress(0);
    return { what: "call", target: this.state.functions.write, arguments: [2, at, bytes.length] };
  }

  *#answer(token: number, process: Process, question: Question): Linking<Answer & { complaint?: string }> {
    const { launch, capsules } = process === this.#libc ? this.#own : this.#linkedIn(process, this.state);
    const capsule = capsules.find((each) => each.token === token);
    try {
      if (capsule) return yield* answerCapsule(launch, capsule, question);
      const { path } = this.state.program;
      const program = { library: launch.runtime.libraryAt(path), image: path };
      return yield* answerProgram(launch, capsules, program, question);
    } catch (error) {
      // Without all that it needs a library is not opened: glibc would search for the rest in the wrong tree.
      const search = (capsule ?? capsules[0])?.search ?? launch.runtime;
      if (error instanceof LinkError || error instanceof ElfError) {
        this.#trace.tell("request", () => error.message);
        const object = error instanceof LinkError ? error.details.object : error.path;
        return { open: missing(search, object ?? question.file) };
      }
      // Nothing can be written any more: the user has to hear of it, as dlerror() cannot say it.
      const { code, message } = error as NodeJS.ErrnoException;
      if (code === undefined) throw error;
      return { open: missing(search, question.file), complaint: `Cannot open "${question.file}": ${message}` };
    }
  }

  #linkedIn(process: Process, state: ServerState): { launch: Launch; capsules: Capsule[] } {
    const files = new Map(state.shared);
    const unavailable = () => {
      throw new Error("Cannot install code from a request");
    };
    const launch: Omit<Launch, "capsules"> = {
      process,
      directory: this.#directory,
      channel: this.#channel.at,
      trace: this.#trace,
      runtime: this.#runtime,
      functions: state.functions,
      program: { path: state.program.path, name: toAddress(0) },
      findSymbol: unavailable,
      install: unavailable,
      intern: unavailable,
      internWords: unavailable,
      sharedFile: (soname) => files.get(soname) ?? soname,
      shared: new Map(),
    };
    const objects = (list: readonly (readonly [string, number])[]) =>
      new Map(list.map(([name, linkMap]) => [name, new LoadedObject(process, toAddress(linkMap))]));
    const capsules = state.capsules.map((capsule) => ({
      ...this.#treeAt(capsule),
      isolated: new Set(capsule.isolated),
      token: capsule.token,
      namespace: capsule.namespace,
      overrides: new Map(capsule.overrides),
      iterateHere: capsule.iterateHere,
      mirrors: objects(capsule.mirrors),
      opened: objects(capsule.opened),
      shims: objects(capsule.shims),
    }));
    return { launch: { ...launch, capsules }, capsules };
  }

  #treeAt({ root, newest, others }: CapsuleState): { search: Search; ownership: Ownership } {
    let known = this.#trees.get(root);
    if (!known) {
      // Resolved: Bun's realpath asks /proc/self/fd, where this thread's descriptors are not.
      const search = new Search(new Tree(root, true), [], this.#store);
      known = { search, ownership: new Ownership(search, this.#runtime, newest, new Set(others)) };
      this.#trees.set(root, known);
    }
    return known;
  }
}

/** Answers for as long as the process lives. */
function serve(channel: Channel): never {
  let server: Server | undefined;
  let idle: Generator<undefined> | undefined;
  try {
    channel.open();
    for (;;) {
      const { bell } = channel;
      const asked = channel.exchanges.filter((exchange) => exchange.isForServer);
      // The main thread first: what others ask may depend on what it says.
      for (const exchange of asked.filter(({ request }) => request.kind === Kind.state)) {
        const state = stateIn(exchange);
        if (server) server.update(state);
        else {
          channel.libc.ownDescriptors(state.trace.length > 0);
          server = new Server(channel, state);
          idle = server.idle();
        }
        exchange.free();
      }
      for (const exchange of asked) {
        if (exchange.state === State.left) server?.forget(exchange);
        else if (exchange.isForServer) server?.advance(exchange);
      }
      if (asked.length > 0) continue;
      if (idle && !idle.next().done) continue;
      idle = undefined;
      channel.awaitBell(bell, server?.watch());
    }
  } catch (error) {
    writeSync(2, `capsule: what is asked is not answered any more: ${error instanceof Error ? error.stack : error}\n`);
    channel.close();
    // Not back to the event loop, which would find its descriptors closed, or somebody else's.
    for (;;) channel.awaitBell(channel.bell);
  }
}

/** As messages name who asks. */
const whose = (token: number): string => (token === 0 ? "program" : `capsule ${token}`);

function argumentsOf({ request: { a0, a1, a2, a3, a4, a5 } }: Exchange): bigint[] {
  return [a0, a1, a2, a3, a4, a5];
}

/** Undefined for what the tree does not have, or has a link for that leads nowhere. */
function resolved(tree: Tree, path: string, follows: boolean): string | undefined {
  try {
    return follows ? tree.resolve(path) : tree.resolveLink(path);
  } catch (error) {
    if (error instanceof LinkError) return undefined;
    throw error;
  }
}

function stateIn({ request: { a0, a1 } }: Exchange): ServerState {
  return JSON.parse(Buffer.from(bytesAt(toAddress(Number(a0)), Number(a1))).toString());
}

// What takes the loader's lock, or looks up symbols, is done before the process is changed.
addEventListener("message", ({ data }: MessageEvent<Address>) => serve(new Channel(new Libc(), data)));
