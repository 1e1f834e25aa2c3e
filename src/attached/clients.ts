// The clients. A process is identified by its memory and its mappings, not by its pid alone, which belongs to its own
// PID namespace and may be reused.

import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { firstLinkMap, type LoadedObject, linkMap } from "../../lib/loader/link-map.ts";
import { findMapping, readMaps } from "../../lib/memory/maps.ts";
import type { Address } from "../../lib/memory/numbers.ts";
import type { Libc } from "../../lib/process/libc.ts";
import { type MemoryTransport, OtherProcess, UnreadableError } from "../../lib/process/other.ts";
import { unless, unlessRefused } from "../../lib/unless.ts";
import { ControlBlock } from "../agent/code/connect.ts";
import type { Slot } from "../agent/slot.ts";
import { MARK } from "../directories/private-directory.ts";
import { Attachment, type ControlBlockAddresses, type Origin } from "./attachment.ts";
import { type LibdlCall, missingLibdl } from "./libdl.ts";
import type { AttachedContext } from "./server-context.ts";

interface Identified {
  readonly asking: AskingProcess;
  readonly controlBlock: ControlBlock;
  /** Those of its base namespace, if they are known already: reading them takes as long as all the rest. */
  objects?: readonly LoadedObject[];
}

/** How many ended processes to remember, for children that they may have forked, before checking which have any. */
const MOST_ENDED = 128;

export class Clients {
  readonly #processes = new Map<number, AskingProcess>();
  /** By pid. */
  readonly #attachments = new Map<number, Attachment>();
  /**
   * By the number that agents give, which forked children share: the process that was linked, or what is kept of it.
   */
  readonly #origins = new Map<number, Attachment | Origin>();
  /** Those that wait for the answer that is being given. */
  readonly #heard = new Set<AskingProcess>();
  readonly #agentFile: number;
  #last = 0;
  #ended = 0;

  /**
   * `watch` is called for each process that is linked, `replaced` for one that now runs another program, which sends
   * its request in that slot.
   */
  constructor(
    readonly context: AttachedContext,
    readonly watch: (pid: number) => void,
    readonly replaced: (pid: number, slot: Slot) => void,
  ) {
    this.#agentFile = statSync(join(context.libraries, MARK)).ino;
  }

  /** A thread of a known process has written to its slot, and waits. */
  hear(slot: Slot): void {
    const asking = this.#processes.get(slot.request.pid);
    if (asking) this.#listen(asking, slot);
  }

  /** Who was heard has been answered, and goes on. */
  answered(): void {
    for (const asking of this.#heard) asking.process.release();
    this.#heard.clear();
  }

  #listen(asking: AskingProcess, slot: Slot): void {
    this.#heard.add(asking);
    asking.listenTo(slot);
  }

  /** The process that sent the request in that slot, if known. */
  find({ request: { pid } }: Slot): Attachment | undefined {
    return this.#attachments.get(pid);
  }

  /** Whether we learn when that process ends. */
  isKnown(pid: number): boolean {
    return this.#attachments.has(pid);
  }

  get newest(): Attachment | undefined {
    return [...this.#attachments.values()].at(-1);
  }

  /** Where the control block of the agent with this number is. Throws UnreadableError if there is none. */
  controlBlockOf(id: number): ControlBlockAddresses {
    const origin = this.#origins.get(id);
    if (!origin) throw new UnreadableError("Cannot answer a process that has never been linked");
    return origin.controlBlock;
  }

  /**
   * The requesting process: a known one, a forked child of one, or a new program. Throws UnreadableError for one that
   * is not of this launch, and as Attachment does.
   */
  of(
    slot: Slot,
    { at, copy }: Pick<ControlBlockAddresses, "at" | "copy">,
    { asking, controlBlock, objects }: Identified = this.identify(slot, at, copy),
  ): Attachment {
    const { process } = asking;
    const { attachment: id, debug } = controlBlock;
    const before = this.#attachments.get(process.pid);
    if (before && before.id === id) return before;
    // The process runs another program by now.
    if (before) {
      this.#retire(before);
      this.replaced(process.pid, slot);
    }
    const known = id === 0 ? undefined : this.#origins.get(id);
    if (id !== 0 && !known)
      throw new UnreadableError(`Cannot answer process ${process.pid}: who has forked it is forgotten`);
    const origin = known instanceof Attachment ? known.origin : known;
    const fresh = new Attachment(
      this.context,
      process,
      origin ? id : ++this.#last,
      { at, debug, copy },
      origin,
      objects,
    );
    // Sign first, as it may have ended: once known, a process is watched, so we learn of its end.
    if (!origin) {
      fresh.sign();
      this.#origins.set(fresh.id, fresh);
    }
    this.#processes.set(process.pid, asking);
    this.#attachments.set(process.pid, fresh);
    this.watch(process.pid);
    return fresh;
  }

  /** What a process has to call before it is linked, if anything. */
  missingLibdl(identified: Identified): LibdlCall | undefined {
    const { asking, controlBlock } = identified;
    if (controlBlock.attachment !== 0) return undefined;
    const { process } = asking;
    identified.objects = [...linkMap(process, firstLinkMap(process, controlBlock.debug))];
    return missingLibdl(process, identified.objects);
  }

  ended(pid: number): void {
    this.#processes.delete(pid);
    const attachment = this.#attachments.get(pid);
    if (attachment) this.#retire(attachment);
  }

  #retire(attachment: Attachment): void {
    const { pid } = attachment.process;
    if (this.#attachments.get(pid) === attachment) this.#attachments.delete(pid);
    if (this.#origins.get(attachment.id) === attachment) {
      this.#origins.set(attachment.id, attachment.origin);
      this.#ended++;
    }
    attachment.close();
    if (this.#ended >= MOST_ENDED) this.#forget();
  }

  /** Forgets those whose mirrors no process has mapped: they have left no child. */
  #forget(): void {
    this.#ended = 0;
    const mapped = new Set<string>();
    for (const name of readdirSync("/proc")) {
      if (!(Number(name) > 0)) continue;
      for (const [, pid = ""] of mapsOf(name).matchAll(new RegExp(` ${this.context.libraries}/(\\d+)/`, "g")))
        mapped.add(pid);
    }
    for (const [id, origin] of this.#origins)
      if (!(origin instanceof Attachment) && !mapped.has(`${origin.pid}`)) this.#origins.delete(id);
  }

  /**
   * Finds out which process has that control block, and writes its pid and tid as seen here into the request. Throws
   * UnreadableError.
   */
  identify(slot: Slot, at: Address, copy: Address): Identified {
    const { request } = slot;
    const { pid: number, tid } = request;
    for (const candidate of candidates(number, tid)) {
      const known = this.#processes.get(candidate.pid);
      // Memory that the client transports is its own, and proves nothing about a pid: mappings do.
      if (!known && !this.#hasAgent(candidate.pid, at)) continue;
      const asking = known ?? new AskingProcess(this.context.libc, candidate.pid, copy);
      // Another program's agent is elsewhere.
      asking.copy = copy;
      request.pid = candidate.pid;
      request.tid = candidate.tid;
      this.#listen(asking, slot);
      const controlBlock = controlBlockIn(asking.process, at);
      const [first, second] = this.context.file.nonce;
      if (controlBlock && `${controlBlock.nonce0}` === first && `${controlBlock.nonce1}` === second)
        return { asking, controlBlock };
    }
    request.pid = number;
    request.tid = tid;
    throw new UnreadableError(`Cannot link process ${number}: it is not of this launch, or cannot be seen from here`);
  }

  /** Whether a process of this user has this launch's agent mapped there. */
  #hasAgent(pid: number, at: Address): boolean {
    const mapping = unlessRefused(() =>
      statSync(`/proc/${pid}`).uid === process.geteuid?.() ? findMapping(readMaps(pid), at) : undefined,
    );
    return mapping !== undefined && mapping.inode === this.#agentFile && mapping.path.includes(MARK);
  }
}

/**
 * The pids and tids that a process and thread may have here: the same numbers, or those of a member of another PID
 * namespace.
 */
function* candidates(pid: number, tid: number): Generator<{ pid: number; tid: number }> {
  yield { pid, tid };
  for (const name of readdirSync("/proc")) {
    if (!(Number(name) > 0) || innermost(`/proc/${name}`) !== pid) continue;
    for (const thread of tasksOf(name))
      if (innermost(`/proc/${name}/task/${thread}`) === tid) yield { pid: Number(name), tid: Number(thread) };
  }
}

/** Whether a process has that number in a PID namespace of its own: in its slot it stands until it is identified. */
export const isOfOtherNamespace = (pid: number): boolean =>
  readdirSync("/proc").some((name) => Number(name) > 0 && innermost(`/proc/${name}`) === pid);

/** The number of a process or thread in its own PID namespace, if that is not ours. */
function innermost(directory: string): number | undefined {
  const [, numbers = ""] = /^NSpid:\s*(.*)$/m.exec(textOf(`${directory}/status`)) ?? [];
  const list = numbers.split(/\s+/);
  return list.length > 1 ? Number(list.at(-1)) : undefined;
}

const mapsOf = (pid: string): string => textOf(`/proc/${pid}/maps`);

/** Empty for a process that has ended, or is another user's. */
const textOf = (path: string): string => unlessRefused(() => readFileSync(path, "latin1")) ?? "";

const tasksOf = (pid: string): string[] => unlessRefused(() => readdirSync(`/proc/${pid}/task`)) ?? [];

/** Undefined if nothing is mapped at that address. */
function controlBlockIn(process: OtherProcess, at: Address): ControlBlock | undefined {
  return unless([UnreadableError], () => ControlBlock.at(process.memory.view(at, ControlBlock.size)));
}

/** A process that has a waiting thread. That thread is alive, and transports memory if the kernel refuses to. */
class AskingProcess implements MemoryTransport {
  readonly process: OtherProcess;
  #slot: Slot | undefined;

  /** `copy` is a function of its agent. */
  constructor(
    libc: Libc,
    pid: number,
    public copy: Address,
  ) {
    this.process = new OtherProcess(libc, pid, this);
  }

  listenTo(slot: Slot): void {
    this.#slot = slot;
    this.process.task = slot.request.tid;
    this.process.hold();
  }

  read(address: Address, into: Uint8Array): void {
    this.#transport("read", address, into);
  }

  write(address: Address, bytes: Uint8Array): void {
    this.#transport("write", address, bytes);
  }

  #transport(direction: "read" | "write", address: Address, bytes: Uint8Array): void {
    if (!this.#slot) throw new UnreadableError("Nobody of that process waits to carry its memory");
    this.#slot.transport(direction, this.copy, address, bytes);
  }
}
