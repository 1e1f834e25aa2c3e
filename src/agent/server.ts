// Answers the agents, in a Worker while the program owns the main thread. It reads
// files and, of what it has opened itself, memory; everything that takes the
// loader's lock it has the asking thread do. So threads may ask while others are
// inside the loader, and a request may lead to another.

import { writeSync } from "node:fs";
import { ElfError } from "../../lib/elf/error.ts";
import { LinkError } from "../../lib/loader/error.ts";
import { Libc } from "../../lib/loader/libc.ts";
import { LoadedObject } from "../../lib/loader/link-map.ts";
import { bytesAt, cString } from "../../lib/memory/live.ts";
import { type Address, toAddress } from "../../lib/memory/numbers.ts";
import { OtherProcess } from "../../lib/process/other.ts";
import type { Linking, Process } from "../../lib/process/process.ts";
import { LibraryStore } from "../../lib/tree/library-store.ts";
import { Search } from "../../lib/tree/search.ts";
import { Tree } from "../../lib/tree/tree.ts";
import type { Capsule, Functions, Launch } from "../launch.ts";
import { Ownership } from "../ownership.ts";
import { FileList, PrivateDirectory, removeStale } from "../private-directory.ts";
import { type Category, Trace } from "../trace.ts";
import { type Answer, answerCapsule, answerProgram, missing, type Question, readAhead } from "./answers.ts";
import { type Asker, type Message, order, orders, store } from "./conversation.ts";
import { Kind, Request } from "./protocol.ts";

/** What the server knows of a capsule. Objects are given as the addresses of their link_maps. */
export interface CapsuleState {
  readonly root: string;
  readonly token: number;
  readonly namespace: number;
  readonly isolated: readonly string[];
  /** See Ownership. */
  readonly newest: readonly string[];
  readonly overrides: Capsule["overrides"];
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
  readonly functions: Functions;
  readonly capsules: readonly CapsuleState[];
  /** For each capsule, what its libraries will probably open. */
  readonly ahead: readonly (readonly string[])[];
  readonly program: { readonly path: string; readonly image: string };
}

/** Posted by the main thread; `done` (32 bits) is raised when it has been dealt with. */
export interface ServerMessage {
  /** What has been opened so far. The first message has none: it says that the process still is as Bun has made it. */
  readonly state?: ServerState;
  readonly done: SharedArrayBuffer;
}

type Conversation = Generator<Message, Uint8Array, DataView>;

interface Connection {
  conversation: Conversation | undefined;
  received: Uint8Array;
  /** How many bytes the conversation waits for. */
  wanted: number;
}

class Server {
  readonly #libc: Libc;
  readonly #interned = new Map<string, Address>();
  readonly #trees = new Map<string, { search: Search; ownership: Ownership }>();
  readonly #store: LibraryStore;
  readonly #runtime: Search;
  readonly #trace: Trace;
  readonly #directory: PrivateDirectory;
  #own: { launch: Launch; capsules: Capsule[] };

  constructor(
    libc: Libc,
    public state: ServerState,
  ) {
    this.#libc = libc;
    this.#trace = new Trace(state.trace);
    this.#directory = new PrivateDirectory(state.directory, new FileList(this.#libc, toAddress(state.files)));
    this.#store = new LibraryStore(state.store);
    this.#runtime = new Search(new Tree("/"), state.libraryPath, this.#store);
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

  listen(): void {
    Bun.listen<Connection>({
      unix: this.#directory.socket,
      socket: {
        open: (socket) => {
          socket.data = { conversation: undefined, received: new Uint8Array(0), wanted: Request.size };
        },
        data: (socket, bytes) => {
          const connection = socket.data;
          connection.received = new Uint8Array(Buffer.concat([connection.received, bytes]));
          if (connection.received.length < connection.wanted) return;
          const reply = connection.received.slice(0, connection.wanted);
          connection.received = connection.received.slice(connection.wanted);
          try {
            this.#advance(connection, reply, (message) => socket.write(message));
          } catch (error) {
            // A fault of ours: nobody else would show it. The agent has its dlopen fail when the connection ends.
            writeSync(2, `capsule: ${error instanceof Error ? error.stack : error}\n`);
            socket.end();
          }
        },
        error: (_, error) => this.#trace.tell("request", () => `a connection broke: ${error.message}`),
      },
    });
  }

  /** Reads ahead, a library with its dependencies at a time, and lets requests in between. */
  async readAhead(): Promise<void> {
    for (const [index, names] of this.state.ahead.entries()) {
      for (const name of names) {
        const capsule = this.#own.capsules[index];
        if (capsule) readAhead(capsule, name);
        await Bun.sleep(0);
      }
    }
  }

  /** Keeps for the next run what this one has found out about libraries. */
  saveStore(): void {
    const reason = this.#store.save();
    if (reason !== undefined) this.#trace.tell("plan", () => `the store of libraries was not written: ${reason}`);
  }

  /** Feeds the conversation what it waited for, and sends until it waits again or is over. */
  #advance(connection: Connection, bytes: Uint8Array, send: (message: Uint8Array) => void): void {
    const reply = new DataView(bytes.buffer);
    connection.conversation ??= this.#converse(reply);
    let step = connection.conversation.next(reply);
    while (!step.done && step.value.reply === 0) {
      send(step.value.bytes);
      step = connection.conversation.next(new DataView(new ArrayBuffer(0)));
    }
    send(step.done ? step.value : step.value.bytes);
    connection.wanted = step.done ? Number.POSITIVE_INFINITY : step.value.reply;
  }

  /** The last order is its result: RETURN or JUMP. */
  *#converse(view: DataView): Conversation {
    const request = Request.at(view);
    const isDlmopen = request.kind === Kind.dlmopen;
    const [file, mode] = isDlmopen ? [request.a1, request.a2] : [request.a0, request.a1];
    const isOwn = request.pid === this.state.pid;
    const process: Process = isOwn ? this.#libc : new OtherProcess(this.#libc, request.pid);
    const { functions } = this.state;
    const asker: Asker = {
      process,
      functions,
      isOwn,
      intern: (text) => this.#intern(text),
      malloc: functions.malloc,
      free: functions.free,
    };
    const question: Question = {
      file: process.stringAt(toAddress(Number(file))),
      mode: Number(BigInt.asIntN(32, mode)),
      returnAddress: request.returnAddress,
    };
    this.#trace.tell(
      "request",
      () =>
        `${request.token === 0 ? "program" : `capsule ${request.token}`}: ${isDlmopen ? "dlmopen" : "dlopen"} "${question.file}" (pid ${request.pid}, thread ${request.tid})`,
    );
    const answer = yield* orders(asker, this.#answer(request.token, process, question));
    if ("handle" in answer) return order("return", 0, [answer.handle]);
    const name = isOwn ? this.#intern(answer.open) : yield* store(asker, Buffer.from(`${answer.open}\0`));
    this.#trace.tell("request", () => `"${question.file}" goes on as "${answer.open}"`);
    return isDlmopen
      ? order("jump", functions.dlmopen, [request.a0, name, mode])
      : order("jump", functions.dlopen, [name, mode]);
  }

  *#answer(token: number, process: Process, question: Question): Linking<Answer> {
    const { launch, capsules } = process === this.#libc ? this.#own : this.#linkedIn(process, this.state);
    const capsule = capsules.find((each) => each.token === token);
    try {
      if (capsule) return yield* answerCapsule(launch, capsule, question);
      const { path, image } = this.state.program;
      const program = { library: launch.runtime.libraryAt(path), image };
      return yield* answerProgram(launch, capsules, program, question);
    } catch (error) {
      // Without all that it needs a library is not opened: glibc would search for the rest in the wrong tree.
      if (!(error instanceof LinkError || error instanceof ElfError)) throw error;
      this.#trace.tell("request", () => error.message);
      const object = error instanceof LinkError ? error.details.object : error.path;
      return { open: missing((capsule ?? capsules[0])?.search ?? launch.runtime, object ?? question.file) };
    }
  }

  #linkedIn(process: Process, state: ServerState): { launch: Launch; capsules: Capsule[] } {
    const files = new Map(state.shared);
    const unavailable = () => {
      throw new Error("Cannot install code from a request");
    };
    const launch: Launch = {
      process,
      directory: this.#directory,
      trace: this.#trace,
      runtime: this.#runtime,
      functions: state.functions,
      install: unavailable,
      intern: (text) => this.#intern(text),
      internWords: unavailable,
      sharedFile: (soname) => files.get(soname) ?? soname,
      shared: new Map(),
    };
    const objects = (list: readonly (readonly [string, number])[]) =>
      new Map(list.map(([name, linkMap]) => [name, new LoadedObject(process, toAddress(linkMap))]));
    const capsules = state.capsules.map((capsule) => ({
      ...this.#treeAt(capsule.root, capsule.newest),
      isolated: new Set(capsule.isolated),
      token: capsule.token,
      namespace: capsule.namespace,
      overrides: capsule.overrides,
      mirrors: objects(capsule.mirrors),
      opened: objects(capsule.opened),
      shims: objects(capsule.shims),
    }));
    return { launch, capsules };
  }

  #treeAt(root: string, newest: readonly string[]): { search: Search; ownership: Ownership } {
    let known = this.#trees.get(root);
    if (!known) {
      const search = new Search(new Tree(root || "/"), [], this.#store);
      known = { search, ownership: new Ownership(search, this.#runtime, newest) };
      this.#trees.set(root, known);
    }
    return known;
  }

  /** Strings that the program's threads are given stay; there is one of each. */
  #intern(text: string): Address {
    let at = this.#interned.get(text);
    if (at === undefined) {
      const bytes = cString(text);
      at = this.#libc.allocate(bytes.length);
      bytesAt(at, bytes.length).set(bytes);
      this.#interned.set(text, at);
    }
    return at;
  }
}

/** What can wait until nobody waits for this thread. */
async function ahead(server: Server): Promise<void> {
  await server.readAhead();
  server.saveStore();
  await removeStale();
}

function serve(): void {
  let libc: Libc | undefined;
  let server: Server | undefined;
  addEventListener("message", ({ data: { state, done } }: MessageEvent<ServerMessage>) => {
    // What takes the loader's lock, or looks up symbols, is done in the first message.
    libc ??= new Libc();
    if (state && server) server.update(state);
    else if (state) {
      server = new Server(libc, state);
      server.listen();
      setTimeout(ahead, 0, server);
    }
    const flag = new Int32Array(done);
    Atomics.store(flag, 0, 1);
    Atomics.notify(flag, 0);
  });
}

serve();
