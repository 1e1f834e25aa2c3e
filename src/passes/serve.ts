// Starts the server in a Worker and tells it what has been opened. Its listening
// socket must be there before anybody can ask.

import type { ServerMessage, ServerState } from "../agent/server.ts";
import type { Capsule } from "../launch.ts";
import type { Run } from "../run.ts";

/** How long a Worker may take to start, in milliseconds; it takes three. */
const PATIENCE = 10_000;

/** Boots while the plan is made. */
export function bootServer(): Worker {
  // Beside main.js in the bundle, in its folder in the sources.
  const file = import.meta.url.endsWith(".ts") ? "../agent/server.ts" : "./agent/server.js";
  return new Worker(new URL(file, import.meta.url).href, { smol: true });
}

/** Returns when the server listens. */
export function startServer(run: Run, worker: Worker, image: string): void {
  const ready = new SharedArrayBuffer(4);
  worker.postMessage({ state: stateOf(run, image), ready } satisfies ServerMessage);
  if (Atomics.wait(new Int32Array(ready), 0, 0, PATIENCE) === "timed-out")
    throw new Error(`Cannot start the server that answers dlopen: it was not ready after ${PATIENCE} ms`);
}

export function updateServer(run: Run, worker: Worker, image: string): void {
  worker.postMessage({ state: stateOf(run, image), ready: new SharedArrayBuffer(4) } satisfies ServerMessage);
}

function stateOf(run: Run, image: string): ServerState {
  const addresses = (objects: Capsule["opened"]) =>
    [...objects].map(([name, { linkMap }]) => [name, linkMap as number] as const);
  return {
    pid: process.pid,
    directory: run.directory.path,
    files: run.directory.files.at,
    trace: run.trace.categories,
    libraryPath: run.runtime.libraryPath,
    shared: [...run.plan.shared],
    functions: run.functions,
    capsules: run.capsules.map((capsule) => ({
      root: capsule.search.tree.root,
      token: capsule.token,
      namespace: capsule.namespace,
      isolated: [...capsule.isolated],
      newest: capsule.ownership.newest,
      mirrors: addresses(capsule.mirrors),
      opened: addresses(capsule.opened),
      shims: addresses(capsule.shims),
    })),
    program: { path: run.plan.program.path, image },
  };
}
