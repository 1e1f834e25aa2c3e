// Starts the server in a Worker and tells it what has been opened. Its listening
// socket must be there before anybody can ask.

import { dirname, extname, join } from "node:path";
import type { ServerMessage, ServerState } from "../agent/server.ts";
import type { Capsule } from "../launch.ts";
import type { Run } from "../run.ts";

/** How long a Worker may take to start, in milliseconds; it takes three. */
const PATIENCE = 10_000;

/**
 * Found from the command's own file, main.ts or main.js in the bundle: a bundle has the path that it was built at in place of
 * import.meta.url.
 */
const SERVER = join(dirname(Bun.main), "agent", `server${extname(Bun.main)}`);

export class ServerHandle {
  readonly #worker: Worker;
  readonly #booted = new SharedArrayBuffer(4);

  /** Boots in a Worker, while other things are done. */
  constructor() {
    this.#worker = new Worker(SERVER, { smol: true });
    this.#post({ done: this.#booted });
  }

  /** Returns when it has found what it needs of the process. */
  awaitBoot(): void {
    wait(this.#booted);
  }

  /** Returns when it listens. */
  start(run: Run, image: string): void {
    const done = new SharedArrayBuffer(4);
    this.#post({ state: stateOf(run, image), done });
    wait(done);
  }

  /** Tells it what has been opened meanwhile. */
  update(run: Run, image: string): void {
    this.#post({ state: stateOf(run, image), done: new SharedArrayBuffer(4) });
  }

  #post(message: ServerMessage): void {
    this.#worker.postMessage(message);
  }
}

function wait(done: SharedArrayBuffer): void {
  if (Atomics.wait(new Int32Array(done), 0, 0, PATIENCE) === "timed-out")
    throw new Error(`Cannot start the server that answers dlopen: no sign of it for ${PATIENCE} ms`);
}

function stateOf(run: Run, image: string): ServerState {
  const addresses = (objects: Capsule["opened"]) =>
    [...objects].map(([name, { linkMap }]) => [name, linkMap as number] as const);
  return {
    pid: process.pid,
    directory: run.directory.path,
    files: run.directory.files.at,
    trace: run.trace.categories,
    store: run.runtime.store.file,
    libraryPath: run.runtime.libraryPath,
    shared: [...run.plan.shared],
    functions: run.functions,
    ahead: run.plan.capsules.map(({ ahead }) => ahead),
    capsules: run.capsules.map((capsule) => ({
      root: capsule.search.tree.root,
      token: capsule.token,
      namespace: capsule.namespace,
      isolated: [...capsule.isolated],
      newest: capsule.ownership.newest,
      overrides: capsule.overrides,
      mirrors: addresses(capsule.mirrors),
      opened: addresses(capsule.opened),
      shims: addresses(capsule.shims),
    })),
    program: { path: run.plan.program.path, image },
  };
}
