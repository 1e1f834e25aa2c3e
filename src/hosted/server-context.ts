// What the server knows of the run: data from the main thread, and what it has opened itself since.

import { LoadedObject } from "../../lib/loader/link-map.ts";
import { toAddress } from "../../lib/memory/numbers.ts";
import type { Libc } from "../../lib/process/libc.ts";
import type { Process } from "../../lib/process/process.ts";
import { Glibc } from "../../lib/tree/glibc.ts";
import { LibraryStore } from "../../lib/tree/library-store.ts";
import { Names } from "../../lib/tree/open-names.ts";
import { Search } from "../../lib/tree/search.ts";
import { Tree } from "../../lib/tree/tree.ts";
import type { Channel } from "../agent/channel.ts";
import { Trace } from "../diagnostics/trace.ts";
import { reportLeftovers } from "../directories/leftovers.ts";
import { FileList, PrivateDirectory } from "../directories/private-directory.ts";
import { BunThreads } from "../handover/threads.ts";
import { mirrorShim } from "../passes/expose.ts";
import type { Capsule, Linkage } from "../passes/linkage.ts";
import { type ProcessGlibc, processGlibcOf, processGlibcOfOlder } from "../plan/glibc/process-glibc.ts";
import { type HostTree, hostTreeOf } from "../plan/host-tree.ts";
import { readAllAhead } from "../server/read-ahead.ts";
import type { CapsuleState, ServerState } from "./server-state.ts";

type KnownTree = HostTree & Pick<Capsule, "names">;

export class HostedContext {
  readonly trace: Trace;
  /** What is removed at exit. */
  readonly files: FileList;
  readonly libc: Libc;
  readonly #threads = new BunThreads();
  readonly #trees = new Map<string, KnownTree>();
  readonly #store: LibraryStore;
  readonly #runtime: Search;
  readonly #directory: PrivateDirectory;
  #linkage: Linkage;

  /** `own` is the channel of this process's threads, `children` that of its children. */
  constructor(
    readonly own: Channel,
    readonly children: Channel,
    public state: ServerState,
  ) {
    this.libc = own.libc;
    this.trace = new Trace(state.trace);
    this.files = new FileList(this.libc, toAddress(state.files));
    this.#directory = new PrivateDirectory(state.directory, this.files);
    this.#store = new LibraryStore(state.store);
    this.#runtime = new Search(new Tree(state.runtime, true), state.libraryPath, this.#store);
    this.#linkage = this.#linkageIn(this.libc, state);
  }

  /** Files of the shared set, as in /proc/PID/maps. */
  get shared(): ReadonlySet<string> {
    return new Set(this.state.sharedFiles.map((path) => this.#runtime.tree.resolve(path) ?? path));
  }

  /** The glibc of what the program starts. Throws LinkError. */
  get processGlibc(): ProcessGlibc {
    const { root, layout, ...chosen } = this.state.glibc;
    const search = (root: string) => new Search(new Tree(root, true), [], this.#store, undefined, layout);
    const glibc = root === undefined ? undefined : Glibc.of(search(root));
    const searches = [this.#runtime, ...this.#linkage.capsules.map(({ search }) => search)];
    return processGlibcOf(searches, { glibc, ...chosen });
  }

  /** The glibc for started processes that have an older libc of their own. */
  get processGlibcOfOlder(): ProcessGlibc | undefined {
    return processGlibcOfOlder(this.processGlibc, new Search(new Tree("/", true), [], this.#store));
  }

  /** What has been opened in this process. */
  get linkage(): Linkage {
    return this.#linkage;
  }

  /** What has been opened in the asking process: a forked child opens libraries for itself. */
  of(process: Process): Linkage {
    return process === this.libc ? this.#linkage : this.#linkageIn(process, this.state);
  }

  /** The main thread has opened more; what was opened here meanwhile, for a constructor, stays known. */
  update(state: ServerState): void {
    const before = this.#linkage.capsules;
    this.state = state;
    this.#linkage = this.#linkageIn(this.libc, state);
    for (const [index, capsule] of this.#linkage.capsules.entries())
      for (const kind of ["mirrors", "opened", "shims"] as const)
        for (const [name, object] of before[index]?.[kind] ?? []) capsule[kind].set(name, object);
  }

  /** What can wait until there are no requests. */
  *idle(): Generator<undefined> {
    yield* readAllAhead(this.#linkage.capsules, this.#store, this.trace);
    reportLeftovers(this.trace);
  }

  #linkageIn(process: Process, state: ServerState): Linkage {
    const files = new Map(state.shared);
    const objects = (list: readonly (readonly [string, number])[]) =>
      new Map(list.map(([name, linkMap]) => [name, new LoadedObject(process, toAddress(linkMap))]));
    const { scopes } = state;
    const staying = state.capsules.flatMap(({ shims }) =>
      shims.map(([soname, at]) => [soname, toAddress(at)] as const),
    );
    return {
      process,
      directory: this.#directory,
      trace: this.trace,
      runtime: this.#runtime,
      functions: state.functions,
      program: state.program,
      shim: (...shown) => mirrorShim(process === this.libc && !this.#threads.hasOthers(process.pid))(...shown),
      sharedFile: (soname) => files.get(soname) ?? soname,
      shared: new Map(),
      moved: new Map(state.moved),
      capsules: state.capsules.map((capsule) => ({
        ...this.#treeAt(capsule),
        token: capsule.token,
        namespace: capsule.namespace,
        overrides: new Map(capsule.overrides),
        iterateHere: capsule.iterateHere,
        openHere: capsule.openHere,
        mirrors: objects(capsule.mirrors),
        opened: objects(capsule.opened),
        shims: objects(capsule.shims),
      })),
      scopes: scopes && {
        offsets: scopes.offsets,
        main: scopes.main,
        family: new Map(scopes.family),
        lent: new Set(scopes.lent),
        staying: new Map(staying),
        rooms: new Map(),
      },
    };
  }

  #treeAt(capsule: CapsuleState): KnownTree {
    let known = this.#trees.get(capsule.root);
    if (!known) {
      known = { ...hostTreeOf(capsule, this.#runtime), names: new Names() };
      this.#trees.set(capsule.root, known);
    }
    for (const [name, path] of capsule.names) known.names.add(name, path);
    return known;
  }
}
