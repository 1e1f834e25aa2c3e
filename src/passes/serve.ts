// Starts the server in a Worker and tells it what has been opened.

import { realpathSync } from "node:fs";
import { dirname, extname, join } from "node:path";
import type { Libc } from "../../lib/loader/libc.ts";
import { Channel } from "../agent/channel.ts";
import type { Channels } from "../agent/code/channels.ts";
import type { ServerState } from "../agent/knowledge.ts";
import { type ServerCommand, serverCommand } from "../attached/start-server.ts";
import type { Capsule } from "../launch.ts";
import type { Plan } from "../plan.ts";
import type { Run } from "../run.ts";
import type { Command } from "../start-over/restart.ts";

/** How long a Worker may take to start, in milliseconds; it takes three. */
const PATIENCE = 10_000;

/**
 * Found from the command's own file, main.ts or main.js in the bundle: a bundle has the path that it was built at in place of
 * import.meta.url.
 */
const SERVER = join(dirname(Bun.main), "agent", `server${extname(Bun.main)}`);

export class ServerHandle {
  readonly #own: Channel;
  readonly #children: Channel;
  readonly #worker: Worker;

  readonly #command: ServerCommand;

  /** Boots in a Worker, while other things are done. `command` is how this process was started. */
  constructor(libc: Libc, command: Command) {
    this.#children = Channel.make(libc);
    this.#own = Channel.make(libc, false, libc.canSleepOnAny ? undefined : this.#children);
    this.#worker = new Worker(SERVER, { smol: true });
    this.#worker.postMessage(this.addresses);
    this.#command = serverCommand(command);
  }

  get addresses(): Channels {
    const { at, withBell } = this.#own;
    return { own: at, children: this.#children.at, bell: (withBell ?? this.#own).at, pid: process.pid };
  }

  /** Returns when it has found what it needs of the process. */
  awaitBoot(): void {
    if (!this.#own.awaitServer(PATIENCE)) throw silence();
  }

  /** Returns when it answers. */
  start(run: Run): void {
    if (!this.#own.tell(JSON.stringify(stateOf(run, this.#command)), PATIENCE)) throw silence();
  }

  /** Tells it what has been opened meanwhile. */
  update(run: Run): void {
    this.#own.tell(JSON.stringify(stateOf(run, this.#command)));
  }
}

const silence = () => new Error(`Cannot start the server that answers dlopen: no sign of it for ${PATIENCE} ms`);

function stateOf(run: Run, server: ServerCommand): ServerState {
  const addresses = (objects: Capsule["opened"]) =>
    [...objects].map(([name, { linkMap }]) => [name, linkMap as number] as const);
  return {
    directory: run.directory.path,
    files: run.directory.files.at,
    trace: run.trace.categories,
    store: run.runtime.store.file,
    libraryPath: run.runtime.libraryPath,
    runtime: run.runtime.tree.root,
    shared: [...run.plan.shared],
    moved: [...run.moved],
    // Links to them are in a directory that the program may have no right to later on.
    sharedFiles: [...run.shared.values()].map(({ path }) => realpathSync(path)),
    functions: run.functions,
    ahead: run.plan.capsules.map(({ ahead }) => ahead),
    capsules: run.capsules.map((capsule, index) => ({
      root: capsule.search.tree.root,
      token: capsule.token,
      namespace: capsule.namespace,
      isolated: [...capsule.isolated],
      newest: capsule.ownership.newest,
      others: [...capsule.ownership.others],
      environment: run.plan.capsules[index]?.environment ?? [],
      overrides: [...capsule.overrides],
      iterateHere: capsule.iterateHere,
      mirrors: addresses(capsule.mirrors),
      opened: addresses(capsule.opened),
      shims: addresses(capsule.shims),
    })),
    glibc: glibcOf(run.plan),
    program: { path: run.plan.program.path },
    server,
  };
}

const glibcOf = ({ glibc: { glibc, version, isNatural } }: Plan): ServerState["glibc"] => {
  return { root: glibc?.search.tree.root, version, isNatural };
};
