// A process that is linked from outside: its linkage. The memory is another process's, calls are made by the requesting
// thread, and what is put into it is kept in pages of the agent's object.

import { existsSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { newestOf } from "../../lib/elf/glibc-version.ts";
import { findAddress, type LoadedImage } from "../../lib/elf/loaded.ts";
import { LinkError } from "../../lib/link-error.ts";
import type { Constructor } from "../../lib/loader/last-constructor.ts";
import { firstLinkMap, LinkMap, LoadedObject, linkMap } from "../../lib/loader/link-map.ts";
import { Namespaces } from "../../lib/loader/namespace.ts";
import { cString } from "../../lib/memory/live.ts";
import { type Address, add, alignUp, toAddress } from "../../lib/memory/numbers.ts";
import { makeDirectories } from "../../lib/own-files.ts";
import type { OtherProcess } from "../../lib/process/other.ts";
import { pointerIn, setPointerIn } from "../../lib/process/process.ts";
import { GLIBC, LIBC } from "../../lib/tree/glibc-names.ts";
import type { Search } from "../../lib/tree/search.ts";
import { unlessRefused } from "../../lib/unless.ts";
import type { Assembled, Values } from "../../lib/x86-64/template.ts";
import { AS_IT_IS } from "../agent/code/auditor.ts";
import { type AgentExports, agentExports, ControlBlock } from "../agent/code/connect.ts";
import type { Trace } from "../diagnostics/trace.ts";
import { type FileList, MARK, PrivateDirectory } from "../directories/private-directory.ts";
import { libraryPathsIn } from "../handover/program-environment.ts";
import { type Functions, findFunctions } from "../passes/functions.ts";
import type { Capsule, EmitAsking, Linker, Scopes } from "../passes/linkage.ts";
import { AUDITORS, faultOfAuditors } from "../plan/glibc/auditing.ts";
import { isShared, LOADER } from "../profiles/shared-set.ts";
import { AGENT_PAGES, CODE_SIZE, FUNCTIONS } from "../server/agent-object.ts";
import { EXE_SHIM } from "../server/reexec-stubs.ts";
import type { Client } from "../server/requests.ts";
import { isFilled, placeholderShim } from "./fill.ts";
import type { AttachedContext } from "./server-context.ts";

/** Tokens per process: one for each capsule. */
const TOKENS = 256;

export class Attachment implements Linker, Client {
  readonly trace: Trace;
  readonly directory: ProcessDirectory;
  readonly runtime: Search;
  readonly program: { readonly path: string };
  readonly shared = new Map<string, LoadedImage>();
  readonly moved = new Map<number, Address>();
  readonly capsules: Capsule[] = [];
  readonly shim = placeholderShim;
  readonly isHosted = false;
  /** Functions of the agent that code put into the process sends requests through. */
  readonly #lent: AgentExports;
  readonly functions: Functions;
  scopes: Scopes | undefined;
  /** Placeholders that are being linked. */
  readonly inWork = new Set<Address>();
  /** What is being linked is not needed to start the program. */
  isRunning = false;
  /** For each capsule the address of its dl_iterate_phdr, then NULL. */
  iterators = toAddress(0);
  /** Linking waits for it; see attached/await-allocator.ts. */
  awaited: Constructor | undefined;
  /** The agent's function that is called instead of it. */
  readonly late: Address;
  readonly #known = new Map<Address, LoadedObject>();
  readonly agent: LoadedObject;
  /** It is preloaded, where there is one. */
  readonly #exeShim: LoadedObject | undefined;
  readonly #found = new Map<string, Address | undefined>();
  readonly #kept = new Map<string, Address>();
  /** The initial one, as in /proc. */
  readonly #environment: string;
  #arena: Address;
  readonly #isAudited: boolean;

  /**
   * `origin` is the linked process that forked this one, or an ancestor. `known` are objects of it that were looked at
   * before. Throws LinkError, UnreadableError, and what reading /proc throws.
   */
  constructor(
    readonly context: AttachedContext,
    readonly process: OtherProcess,
    readonly id: number,
    readonly controlBlock: ControlBlockAddresses,
    origin?: Origin,
    known: readonly LoadedObject[] = [],
  ) {
    for (const object of known) this.#known.set(object.linkMap, object);
    this.trace = context.trace;
    const { pid, task } = process;
    this.directory = new ProcessDirectory(join(context.libraries, `${pid}`));
    this.program = { path: programOf(task) };
    this.#environment = readFileSync(`/proc/${task}/environ`, "utf8");
    const [libraryPath = []] = libraryPathsIn(this.#environment);
    this.runtime = context.runtimeOf(libraryPath, this.program.path);
    const objects = this.objects();
    for (const { image } of objects)
      if (image.soname !== undefined && isShared(image.soname)) this.shared.set(image.soname, image);
    const agent = objects.find(({ path }) => basename(path) === MARK && dirname(path) === context.libraries);
    if (!agent?.image.holds(controlBlock.at))
      throw new LinkError(
        `Cannot link what process ${pid} ("${this.program.path}") has opened in a namespace of its own, by dlmopen`,
      );
    this.agent = agent;
    this.#exeShim = objects.find(({ path }) => basename(path) === EXE_SHIM);
    const address = (name: string): Address => {
      const index = agent.image.find(name);
      if (index === undefined) throw new LinkError(`Cannot link process ${pid}: its agent has no "${name}"`);
      return agent.image.symbolAddress(index);
    };
    this.late = address(FUNCTIONS.late);
    this.#lent = agentExports((name) => address(FUNCTIONS[name]));
    this.functions = origin?.functions ?? findFunctions(this.#family);
    this.#arena = origin?.arena ?? add(this.pages, CODE_SIZE);
    this.#isAudited = pointerIn(process, add(controlBlock.at, ControlBlock.offsetOf.audited)) !== 0;
    if (origin) this.#inherit(origin);
  }

  /**
   * The auditor leaves other paths alone, and messages contain the path. Reads nothing of the process: memory may be
   * read through its slot, which would overwrite what is lent there.
   */
  asItIs(path: string): string {
    return this.#isAudited && path.startsWith("/") && this.context.isRedirected(path) ? `${AS_IT_IS}${path}` : path;
  }

  /** Why its ld.so cannot make a namespace, if so. */
  get faultOfAuditors(): string | undefined {
    const auditors = variableIn(this.#environment, AUDITORS);
    if (!auditors) return undefined;
    const defined = this.shared.get(LIBC)?.verdefs.map(({ name }) => name) ?? [];
    return faultOfAuditors({ [AUDITORS]: auditors }, newestOf(defined, "GLIBC"));
  }

  /** Writes its number, and what the agent is to call, into the agent's control block. */
  sign(): void {
    setPointerIn(this.process, add(this.controlBlock.at, ControlBlock.offsetOf.dlsym), this.functions.dlsym);
    setPointerIn(this.process, add(this.controlBlock.at, ControlBlock.offsetOf.attachment), this.id);
  }

  get linkage(): this {
    return this;
  }

  get token(): number {
    return this.id * TOKENS;
  }

  /** The attachment that an agent's token belongs to. */
  static idOf(token: number): number {
    return Math.floor(token / TOKENS);
  }

  /** The agent's empty pages: first for code, then for other data that has to be kept. */
  get pages(): Address {
    const { image } = this.agent;
    const [pages] = image.loads.filter(({ p_filesz }) => p_filesz === 0);
    if (!pages) throw new LinkError(`Cannot link process ${this.process.pid}: its agent has no pages left`);
    return image.addressOf(pages.p_vaddr);
  }

  get programName(): Address {
    const [program] = this.objects();
    return program ? pointerIn(this.process, add(program.linkMap, LinkMap.offsetOf.l_name)) : toAddress(0);
  }

  /** The l_name of its exe shim; 0 if there is none. */
  get exeShimName(): Address {
    const exeShim = this.#exeShim;
    return exeShim ? pointerIn(this.process, add(exeShim.linkMap, LinkMap.offsetOf.l_name)) : toAddress(0);
  }

  /** The base namespace's current objects, in load order, the program first. */
  objects(): LoadedObject[] {
    return [...linkMap(this.process, this.main)].map((object) => {
      const before = this.#known.get(object.linkMap);
      // A library may have been closed, and glibc may have reused its link_map.
      if (before && before.loadBias === object.loadBias && before.path === object.path) return before;
      this.#known.set(object.linkMap, object);
      return object;
    });
  }

  /** The base namespace's first link_map. */
  get main(): Address {
    return firstLinkMap(this.process, this.controlBlock.debug);
  }

  get namespaces(): Namespaces {
    const loader = this.shared.get(LOADER);
    if (!loader) throw new LinkError(`Cannot find ld.so in process ${this.process.pid}`);
    return new Namespaces(this.process, loader);
  }

  /** Keeps the image of an object that now has another name. */
  know({ linkMap, image }: LoadedObject): void {
    this.#known.set(linkMap, new LoadedObject(this.process, linkMap, image));
  }

  /** Whether it is one of the launch's own objects. */
  isOwn({ path }: LoadedObject): boolean {
    return dirname(path) === this.context.libraries;
  }

  get #family(): LoadedImage[] {
    const libc = this.shared.get(LIBC);
    // libc has nearly all the symbols asked for.
    return [...(libc ? [libc] : []), ...[...this.shared.values()].filter((image) => image !== libc)];
  }

  get sharedFiles(): ReadonlySet<string> {
    return new Set([...this.shared.values()].map(({ path }) => this.context.machine.resolve(path) ?? path));
  }

  assemble<Result>(key: string, emit: EmitAsking<Result>, values: Values): Assembled<Result> {
    return this.context.assemble(key, emit, values, this.#lent);
  }

  findSymbol(name: string): Address | undefined {
    if (!this.#found.has(name)) {
      // Its overrides of libc's functions know which file is the program's own.
      const exeShim = this.#exeShim;
      this.#found.set(name, findAddress([...(exeShim ? [exeShim.image] : []), ...this.#family], name));
    }
    return this.#found.get(name);
  }

  /**
   * For glibc's libraries, the file beside its libc, which the program may have brought: the capsule opens it, so
   * neither the program's DT_RUNPATH nor the auditor applies. Otherwise ld.so finds it: the launch has a link to the
   * chosen file.
   */
  sharedFile(soname: string): string {
    const { process, shared } = this;
    const libc = shared.get(LIBC)?.path;
    if (!libc?.startsWith("/") || !GLIBC.includes(soname)) return soname;
    const path = join(dirname(libc), soname);
    return existsSync(`/proc/${process.task}/root${path}`) ? path : soname;
  }

  internWords(words: readonly number[]): Address {
    return this.#mustPut(new Uint8Array(BigUint64Array.from(words, BigInt).buffer));
  }

  intern(text: string): Address {
    return this.#mustPut(cString(text));
  }

  /** Equal strings are kept once. */
  keep(text: string): Address | undefined {
    const at = this.#kept.get(text) ?? this.#put(cString(text));
    if (at !== undefined) this.#kept.set(text, at);
    return at;
  }

  #mustPut(bytes: Uint8Array): Address {
    const at = this.#put(bytes);
    if (at === undefined)
      throw new LinkError(`Cannot link process ${this.process.pid}: there is no room left in its agent's pages`);
    return at;
  }

  #put(bytes: Uint8Array): Address | undefined {
    const at = this.#arena;
    const end = add(at, bytes.length);
    if (end > add(this.pages, AGENT_PAGES)) return undefined;
    this.process.write(at, bytes);
    this.#arena = alignUp(end, 8);
    return at;
  }

  /** What was open when the process was forked, and what it has opened since. */
  #inherit({ capsules, iterators, moved, scopes }: Origin): void {
    const { process } = this;
    for (const { first, ...capsule } of capsules) {
      const mirrors = new Map<string, LoadedObject>();
      const opened = new Map<string, LoadedObject>();
      for (const object of linkMap(process, first)) {
        const isMirror = dirname(dirname(object.path)) === this.context.libraries;
        if (isMirror && object.image.soname !== undefined) mirrors.set(object.image.soname, object);
        else opened.set(object.path, object);
      }
      const shims = new Map(
        this.objects()
          .filter((object) => this.isOwn(object) && isFilled(object, this.functions.nothing))
          .map((object) => [object.image.soname ?? "", object] as const)
          .filter(([soname]) => capsule.isolated.includes(soname)),
      );
      this.capsules.push({ ...capsule, mirrors, opened, shims });
    }
    this.iterators = iterators;
    this.scopes = scopes && { ...scopes, lent: new Set(), rooms: new Map() };
    for (const [from, to] of moved) this.moved.set(from, to);
  }

  /** What a forked child that has not sent a request yet needs: numbers alone. */
  get origin(): Origin {
    const { controlBlock, functions, iterators, scopes } = this;
    const capsules = this.capsules.flatMap(({ mirrors, opened: _, shims: __, ...capsule }) => {
      const [first] = mirrors.values();
      return first ? [{ ...capsule, first: first.linkMap }] : [];
    });
    const moved = [...this.moved];
    return { pid: this.process.pid, controlBlock, functions, iterators, moved, scopes, capsules, arena: this.#arena };
  }

  /** Call when the process is gone. */
  close(): void {
    this.directory.remove();
  }
}

/** What is kept of a process that was linked. */
export interface Origin {
  readonly pid: number;
  readonly controlBlock: ControlBlockAddresses;
  readonly functions: Functions;
  readonly iterators: Address;
  readonly moved: readonly (readonly [from: number, to: Address])[];
  readonly scopes: Omit<Scopes, "lent" | "rooms"> | undefined;
  /** Each with the link_map of the first object in its namespace. */
  readonly capsules: readonly (Omit<Capsule, "mirrors" | "opened" | "shims"> & { readonly first: Address })[];
  /** The end of the used part of the agent's pages. */
  readonly arena: Address;
}

/** Where the agent's control block is, and what it says. */
export interface ControlBlockAddresses {
  readonly at: Address;
  /** ld.so's _r_debug. */
  readonly debug: Address;
  /** The agent's function that copies memory. */
  readonly copy: Address;
}

/**
 * Its program's file. If that was started by ld.so's name, the kernel reports ld.so, and the arguments name the
 * program.
 */
function programOf(pid: number): string {
  const list = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
  const preloaded = list.findIndex((text, i) => list[i - 1] === "--preload" && basename(text) === EXE_SHIM);
  return (preloaded > 0 && list[preloaded + 1]) || readlinkSync(`/proc/${pid}/exe`);
}

/** The last definition counts, as in ld.so. */
const variableIn = (environment: string, name: string): string | undefined =>
  environment
    .split("\0")
    .findLast((variable) => variable.startsWith(`${name}=`))
    ?.slice(name.length + 1);

/** For one process's mirrors, made when the first is written. */
class ProcessDirectory extends PrivateDirectory<Pick<FileList, "add">> {
  readonly #own: string;

  constructor(path: string) {
    super(path, { add() {} });
    this.#own = path;
  }

  override write(name: string, bytes: Uint8Array): string {
    if (this.path === this.#own) unlessRefused(() => makeDirectories(this.path));
    return super.write(name, bytes);
  }

  override remove(): void {
    super.remove();
    rmSync(this.#own, { recursive: true, force: true });
  }
}
