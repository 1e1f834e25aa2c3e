// What the server knows of a launch: the host trees, and where files are. It is the same for all linked processes.

import { readdirSync } from "node:fs";
import { basename, join } from "node:path";
import { ElfError } from "../../lib/elf/error.ts";
import { LinkError } from "../../lib/link-error.ts";
import { toAddress } from "../../lib/memory/numbers.ts";
import type { Libc } from "../../lib/process/libc.ts";
import { LibraryStore } from "../../lib/tree/library-store.ts";
import { Search } from "../../lib/tree/search.ts";
import { Tree } from "../../lib/tree/tree.ts";
import { SystemFault, unless } from "../../lib/unless.ts";
import { type Assembled, required, Templates, type Values } from "../../lib/x86-64/template.ts";
import { type AgentExports, agentExports, lentConnection } from "../agent/code/connect.ts";
import type { Trace } from "../diagnostics/trace.ts";
import { LIBRARIES } from "../directories/library-path.ts";
import type { EmitAsking } from "../passes/linkage.ts";
import { type HostTree, hostTreeOf } from "../plan/host-tree.ts";
import type { LaunchFile } from "../server/launch-file.ts";
import { PlaceholderCache } from "../server/placeholder-cache.ts";
import { placeShims } from "../server/shims.ts";

/** Prefix of the names of lent functions. */
const LENT = "lent ";

export class AttachedContext {
  readonly store: LibraryStore;
  /** The machine's own tree. */
  readonly machine: Tree;
  /** The tree that the programs take their libraries from. */
  readonly #runtime: Tree;
  readonly sources: readonly HostTree[];
  readonly #templates = new Templates();
  #names?: ReadonlySet<string>;
  readonly #mounts: ReadonlyMap<string, string>;

  constructor(
    readonly libc: Libc,
    /** The serving directory. */
    readonly directory: string,
    readonly file: LaunchFile,
    readonly trace: Trace,
  ) {
    this.store = new LibraryStore(file.store);
    this.machine = new Tree("/");
    this.#mounts = new Map(file.mounts);
    // As the launch found them: they may be gone by now.
    this.#runtime = file.runtime === "" ? this.machine : new Tree(file.runtime, true);
    const runtime = this.runtimeOf(file.libraryPath);
    this.sources = file.capsules.map((data) => hostTreeOf(data, runtime));
  }

  /** Code for a process, from a template. `lent` are the agent's functions that the code sends requests through. */
  assemble<Result>(key: string, emit: EmitAsking<Result>, values: Values, lent: AgentExports): Assembled<Result> {
    return this.#templates.assemble(
      key,
      (to, value) => {
        const lent = agentExports((name) => toAddress(required(value, `${LENT}${name}`)));
        return emit(to, value, lentConnection(lent));
      },
      (name) => (name.startsWith(LENT) ? lent[name.slice(LENT.length) as keyof AgentExports] : values(name)),
    );
  }

  /** Makes the placeholders anew of libraries that have been replaced. Those that cannot be made stay as they are. */
  renewShims(): void {
    const { trace, store } = this;
    const runtime = this.runtimeOf(this.file.libraryPath);
    for (const { search } of [{ search: runtime }, ...this.sources]) search.refresh();
    unless(
      [LinkError, ElfError, SystemFault],
      () => {
        const cache = PlaceholderCache.at(store, this.libc.system, trace);
        placeShims(this.libraries, this.sources, cache, runtime, trace);
      },
      ({ message }) => trace.log("shim", () => `not made anew: ${message}`),
    );
  }

  /** The file that a program of this launch sees at a path. */
  fileAt(path: string): string {
    const real = this.machine.resolve(path) ?? path;
    return this.#mounts.get(real) ?? real;
  }

  /** Where shims are, and what only processes of this launch have on their library path. */
  get libraries(): string {
    return join(this.directory, LIBRARIES);
  }

  /** Whether the auditor would substitute another file for a path. */
  isRedirected(path: string): boolean {
    this.#names ??= new Set(readdirSync(this.libraries));
    if (this.#names.has(basename(path))) return true;
    // Files that capsule writes already have the right names.
    if (path.startsWith(`${this.directory}/`)) return false;
    const soname = unless([ElfError, SystemFault], () => this.store.read(path).soname);
    return soname !== undefined && this.#names.has(soname);
  }

  /** How a process of that program, with that library path, finds its own libraries. */
  runtimeOf(libraryPath: readonly string[], program?: string): Search {
    const own = libraryPath.filter((directory) => directory !== this.libraries);
    return new Search(this.#runtime, own, this.store, program);
  }
}
