// Starts the server in a Worker and tells it what has been opened.

import { readdirSync, realpathSync } from "node:fs";
import type { Libc } from "../../lib/process/libc.ts";
import { isBusy } from "../../lib/process/stat.ts";
import { PLAIN } from "../../lib/tree/layout.ts";
import { Channel } from "../agent/channel.ts";
import type { Channels } from "../agent/code/channels.ts";
import type { PrivateDirectory } from "../directories/private-directory.ts";
import type { Capsule, Linkage } from "../passes/linkage.ts";
import type { ChosenGlibc } from "../plan/glibc/choice.ts";
import { dataOf } from "../plan/host-tree.ts";
import type { ServerCommand } from "../server/start-server.ts";
import { OVER, type ServerState } from "./server-state.ts";

/** How long a Worker that starts may do nothing, in milliseconds; it takes three. */
const BOOT_LIMIT_MS = 10_000;
/** How often to check whether it does something, in milliseconds. */
const BOOT_INTERVAL_MS = 100;

/** How long a Worker that has been told to end may take, in milliseconds. */
const END_LIMIT_MS = 1000;

/** What the server has to know. */
export interface Served
  extends Pick<Linkage, "trace" | "runtime" | "shared" | "moved" | "functions" | "capsules" | "scopes"> {
  readonly directory: PrivateDirectory;
  readonly plan: {
    readonly program: { readonly path: string };
    readonly arguments?: readonly string[];
    readonly shared: ReadonlyMap<string, string>;
    readonly glibc: ChosenGlibc;
  };
}

export class ServerHandle {
  readonly #own: Channel;
  readonly #children: Channel;
  readonly #worker: Worker;
  /** 1 when the server uses the channels no more. */
  readonly #isGone = new Int32Array(new SharedArrayBuffer(4));

  /** Boots in a Worker, while other work goes on. `command` starts a server for the program's children, if given. */
  constructor(
    libc: Libc,
    script: string,
    readonly command?: ServerCommand,
  ) {
    this.#children = Channel.make(libc);
    this.#own = Channel.make(libc, false, libc.futexes.canSleepOnAny ? undefined : this.#children);
    this.#worker = new Worker(script, { smol: true });
    this.#worker.postMessage({ ...this.addresses, isGone: this.#isGone });
  }

  get addresses(): Channels {
    const { at, withDoorbell } = this.#own;
    return { own: at, children: this.#children.at, doorbell: (withDoorbell ?? this.#own).at, pid: process.pid };
  }

  /** Returns when the server has read what it needs of the process. */
  awaitBoot(): void {
    for (let quiet = 0; !this.#own.awaitServer(BOOT_INTERVAL_MS); ) {
      quiet = areOthersBusy() ? 0 : quiet + BOOT_INTERVAL_MS;
      if (quiet >= BOOT_LIMIT_MS) throw silence(`no sign of it for ${BOOT_LIMIT_MS} ms`);
    }
  }

  /** Returns when the server answers. */
  start(served: Served): void {
    if (!this.#own.tell(JSON.stringify(this.#stateOf(served)), true)) throw silence("it has ended");
  }

  /** Reports what has been opened. If that may be closed again, set `isAwaited`: the server has to read it first. */
  update(served: Served, isAwaited = false): void {
    this.#own.tell(JSON.stringify(this.#stateOf(served)), isAwaited);
  }

  /** Lets the process end while the server waits. */
  unref(): void {
    this.#worker.unref();
  }

  /**
   * Stops answering: requests fail from now on. Returns when that is in effect. `canAsk`: something that makes requests
   * stays in the process; else the channels are unmapped, with whatever they hold.
   */
  end(canAsk = true): void {
    this.#own.tell(JSON.stringify(OVER), true);
    const isGone = !canAsk && Atomics.wait(this.#isGone, 0, 0, END_LIMIT_MS) !== "timed-out";
    this.#worker.terminate();
    if (isGone) for (const channel of [this.#own, this.#children]) channel.free();
  }

  #stateOf(served: Served): ServerState {
    const addresses = (objects: Capsule["opened"]) =>
      [...objects].map(([name, { linkMap }]) => [name, linkMap as number] as const);
    const { plan, directory, runtime, functions, scopes } = served;
    const { glibc, version, isNatural } = plan.glibc;
    return {
      directory: directory.path,
      files: directory.files.at,
      trace: served.trace.categories,
      store: runtime.store.file,
      libraryPath: runtime.libraryDirectories,
      runtime: runtime.tree.root,
      shared: [...plan.shared],
      moved: [...served.moved],
      // Links to them are in a directory that the program may lose access to.
      sharedFiles: [...served.shared.values()].map(({ path }) => realpathSync(path)),
      functions,
      scopes: scopes && {
        offsets: scopes.offsets,
        main: scopes.main,
        family: [...scopes.family],
        lent: [...scopes.lent],
      },
      capsules: served.capsules.map((capsule) => ({
        ...dataOf(capsule),
        token: capsule.token,
        namespace: capsule.namespace,
        overrides: [...capsule.overrides],
        iterateHere: capsule.iterateHere,
        openHere: capsule.openHere,
        mirrors: addresses(capsule.mirrors),
        opened: addresses(capsule.opened),
        names: capsule.names.entries,
        shims: addresses(capsule.shims),
      })),
      glibc: { root: glibc?.search.tree.root, layout: glibc?.search.layout ?? PLAIN, version, isNatural },
      program: { path: plan.program.path, arguments: plan.arguments ?? [] },
      server: this.command,
    };
  }
}

const silence = (why: string) => new Error(`Cannot start the server that answers dlopen: ${why}`);

/** Whether a thread besides the main one has something to do: the Worker may be among them. */
const areOthersBusy = (): boolean =>
  readdirSync("/proc/self/task").some((id) => Number(id) !== process.pid && isBusy("self", id));
