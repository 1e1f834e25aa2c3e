// What the server knows of the run: data from the main thread, and what it has opened itself since.

import type { ScopeOffsets } from "../../lib/loader/handle-scope.ts";
import { LoadedObject } from "../../lib/loader/link-map.ts";
import { type Address, toAddress } from "../../lib/memory/numbers.ts";
import type { Libc } from "../../lib/process/libc.ts";
import type { Process } from "../../lib/process/process.ts";
import { Glibc } from "../../lib/tree/glibc.ts";
import type { Layout } from "../../lib/tree/layout.ts";
import { LibraryStore } from "../../lib/tree/library-store.ts";
import { Names } from "../../lib/tree/open-names.ts";
import { Search } from "../../lib/tree/search.ts";
import { Tree } from "../../lib/tree/tree.ts";
import type { Channels } from "../agent/channel.ts";
import { type Category, Trace } from "../diagnostics/trace.ts";
import { FileList, PrivateDirectory, removeStale } from "../directories/private-directory.ts";
import { BunThreads } from "../handover/threads.ts";
import { mirrorShim, mirrorShimAlone } from "../passes/expose.ts";
import type { Functions } from "../passes/functions.ts";
import type { Capsule, Launch } from "../passes/launch.ts";
import type { Hook } from "../plan/capsule-source.ts";
import type { ChosenGlibc } from "../plan/glibc/choice.ts";
import { type ProcessGlibc, processGlibcOf, processGlibcOfOlder } from "../plan/glibc/process-glibc.ts";
import { Ownership } from "../plan/ownership.ts";
import { readAhead } from "./answers.ts";
import type { ServerCommand } from "./start-server.ts";

/** What the server knows of a capsule. Objects are given as the addresses of their link_maps. */
interface CapsuleState {
  readonly root: string;
  readonly layout: Layout;
  readonly token: number;
  readonly namespace: number;
  readonly isolated: readonly string[];
  readonly promised: readonly string[];
  /** See Ownership. */
  readonly newest: readonly string[];
  readonly others: readonly string[];
  /** Variables that its libraries see in their environment. */
  readonly environment: readonly (readonly [name: string, value: string])[];
  readonly hooks: readonly Hook[];
  readonly overrides: readonly (readonly [name: string, address: Address])[];
  readonly iterateHere: Address;
  readonly openHere: Address;
  readonly mirrors: readonly (readonly [soname: string, linkMap: number])[];
  readonly opened: readonly (readonly [path: string, linkMap: number])[];
  /** See Names. */
  readonly names: readonly (readonly [name: string, path: string])[];
  readonly shims: readonly (readonly [soname: string, linkMap: number])[];
}

export interface ServerState {
  readonly directory: string;
  readonly files: number;
  readonly trace: readonly Category[];
  readonly libraryPath: readonly string[];
  /** The root of the tree with the program's libraries. */
  readonly runtime: string;
  /** Where what is known of libraries is kept. */
  readonly store: string | undefined;
  readonly shared: readonly (readonly [soname: string, file: string])[];
  readonly moved: readonly (readonly [from: number, to: Address])[];
  /** The loaded files of the shared set. */
  readonly sharedFiles: readonly string[];
  readonly functions: Functions;
  /** See Scopes. Undefined where shims do not stay. */
  readonly scopes:
    | {
        readonly offsets: ScopeOffsets;
        readonly main: Address;
        readonly family: readonly (readonly [soname: string, linkMap: Address])[];
        readonly lent: readonly Address[];
      }
    | undefined;
  readonly capsules: readonly CapsuleState[];
  /** For each capsule, what its libraries will probably open. */
  readonly ahead: readonly (readonly string[])[];
  readonly program: { readonly path: string; readonly arguments: readonly string[] };
  /** The glibc that all of it runs on; `root` is the tree that has it, if that is not where ld.so looks. */
  readonly glibc: Pick<ChosenGlibc, "version" | "isNatural"> & {
    readonly root: string | undefined;
    readonly layout: Layout;
  };
  /** How to start a server for what the program starts. Undefined where only this process is served. */
  readonly server: ServerCommand | undefined;
}

type KnownTree = Pick<Capsule, "search" | "ownership" | "names">;

/** Sent in place of a state: no more requests will come. */
export const OVER = null;

export class Knowledge {
  readonly trace: Trace;
  /** What is removed at exit. */
  readonly files: FileList;
  readonly #libc: Libc;
  readonly #threads = new BunThreads();
  readonly #trees = new Map<string, KnownTree>();
  readonly #store: LibraryStore;
  readonly #runtime: Search;
  readonly #directory: PrivateDirectory;
  #own: { launch: Launch; capsules: Capsule[] };

  constructor(
    readonly channels: Channels,
    public state: ServerState,
  ) {
    this.#libc = channels.own.libc;
    this.trace = new Trace(state.trace);
    this.files = new FileList(this.#libc, toAddress(state.files));
    this.#directory = new PrivateDirectory(state.directory, this.files);
    this.#store = new LibraryStore(state.store);
    this.#runtime = new Search(new Tree(state.runtime, true), state.libraryPath, this.#store);
    this.#own = this.#linkedIn(this.#libc, state);
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
    const searches = [this.#runtime, ...this.#own.capsules.map(({ search }) => search)];
    return processGlibcOf(searches, { glibc, ...chosen });
  }

  /** The glibc for started processes that have an older libc of their own. */
  get processGlibcOfOlder(): ProcessGlibc | undefined {
    return processGlibcOfOlder(this.processGlibc, new Search(new Tree("/", true), [], this.#store));
  }

  /** What has been opened in this process. */
  get own(): { launch: Launch; capsules: Capsule[] } {
    return this.#own;
  }

  /** What has been opened in the asking process: a forked child opens libraries for itself. */
  of(process: Process): { launch: Launch; capsules: Capsule[] } {
    return process === this.#libc ? this.#own : this.#linkedIn(process, this.state);
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

  /**
   * What can wait until there are no requests, piece by piece: reads ahead one library at a time, with its
   * dependencies.
   */
  *idle(): Generator<undefined> {
    for (const [index, names] of this.state.ahead.entries()) {
      for (const name of names) {
        const capsule = this.#own.capsules[index];
        if (capsule) readAhead(capsule, name);
        yield;
      }
    }
    const reason = this.#store.save();
    if (reason !== undefined) this.trace.log("plan", () => `the store of libraries was not written: ${reason}`);
    yield;
    for (const fault of removeStale())
      this.trace.log("plan", () => `a directory of an earlier run was not removed: ${fault}`);
  }

  #linkedIn(process: Process, state: ServerState): { launch: Launch; capsules: Capsule[] } {
    const files = new Map(state.shared);
    const launch: Omit<Launch, "capsules"> = {
      process,
      directory: this.#directory,
      trace: this.trace,
      runtime: this.#runtime,
      functions: state.functions,
      program: state.program,
      shim: (...shown) =>
        (process === this.#libc && !this.#threads.hasOthers(process.pid) ? mirrorShimAlone : mirrorShim)(...shown),
      sharedFile: (soname) => files.get(soname) ?? soname,
      shared: new Map(),
      moved: new Map(state.moved),
    };
    const objects = (list: readonly (readonly [string, number])[]) =>
      new Map(list.map(([name, linkMap]) => [name, new LoadedObject(process, toAddress(linkMap))]));
    const { scopes } = state;
    const staying = state.capsules.flatMap(({ shims }) =>
      shims.map(([soname, at]) => [soname, toAddress(at)] as const),
    );
    const capsules = state.capsules.map((capsule) => ({
      ...this.#treeAt(capsule),
      isolated: new Set(capsule.isolated),
      promised: new Set(capsule.promised),
      hooks: capsule.hooks,
      token: capsule.token,
      namespace: capsule.namespace,
      overrides: new Map(capsule.overrides),
      iterateHere: capsule.iterateHere,
      openHere: capsule.openHere,
      mirrors: objects(capsule.mirrors),
      opened: objects(capsule.opened),
      shims: objects(capsule.shims),
    }));
    return {
      launch: {
        ...launch,
        capsules,
        scopes: scopes && {
          offsets: scopes.offsets,
          main: scopes.main,
          family: new Map(scopes.family),
          lent: new Set(scopes.lent),
          staying: new Map(staying),
          rooms: new Map(),
        },
      },
      capsules,
    };
  }

  #treeAt({ root, layout, newest, others, names }: CapsuleState): KnownTree {
    let known = this.#trees.get(root);
    if (!known) {
      // Already resolved: Bun's realpath uses /proc/self/fd, which does not have this thread's descriptors.
      const search = new Search(new Tree(root, true), [], this.#store, undefined, layout);
      const ownership = new Ownership(search, this.#runtime, newest, new Set(others));
      known = { search, ownership, names: new Names() };
      this.#trees.set(root, known);
    }
    for (const [name, path] of names) known.names.add(name, path);
    return known;
  }
}
